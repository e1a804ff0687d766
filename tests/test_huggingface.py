"""The Hugging Face teacher: what transformers itself would say, matched classes, and one line for a bad model."""

import json
import random
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import WORDS, one_line_error, stillhouse
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    GPT2Config,
    GPT2ForSequenceClassification,
)

import label.huggingface
from augment import augment_file
from label import Huggingface
from label.engine import label as label_rows
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, content_keys

TASK = Task("text", ("text",), "label", classes=("neg", "pos"))
PAIR = Task("pair", ("a", "b"), classes=("no", "yes"))
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIZES = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
TEXTS = ["good film", "", "a very dull story with no plot , and the acting is awful !", "fine", "unknownword . great"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def teacher(tiny_teacher):
    return Huggingface(str(tiny_teacher), dtype="float32")


@pytest.fixture(scope="module")
def labelled_set(labelled_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "T"
    augment_file(Source(labelled_file), TASK, out, copies=0)
    return TransferSet.open(out)


def copy_of(teacher_folder, folder, **config):
    """The teacher in another folder, with some entries of its configuration changed."""
    shutil.copytree(teacher_folder, folder)
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, **config}))
    return folder


def assert_close(logits, expected):
    """Equal to five digits of the largest logit, which is as much as float32 sums in another order allow."""
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def named(*names):
    return {
        "id2label": {str(place): name for place, name in enumerate(names)},
        "label2id": {name: place for place, name in enumerate(names)},
    }


def saved(model, folder, tokenizer=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model().save_pretrained(folder)
    tokenizer = tokenizer or BertTokenizer(vocab={w: i for i, w in enumerate([*SPECIAL, *WORDS])}, model_max_length=32)
    tokenizer.save_pretrained(folder)
    return folder


def generators():
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global one is the point
    return random.getstate(), str(numpy_state), torch.get_rng_state().tolist()


def rows_of(encoded):
    ends = np.cumsum(encoded.lengths)
    return np.split(encoded.ids, ends[:-1])


def reference(folder, *columns):
    """The logits of each row alone, by transformers itself."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        rows = [
            model(**tokenizer(*([text] for text in row), return_tensors="pt")).logits[0].numpy()
            for row in zip(*columns, strict=True)
        ]
    return np.stack(rows)


def test_labelled_in_batches_equals_one_text_at_a_time(teacher, tiny_teacher, labelled_set, labelled_file, tmp_path):
    label_rows(labelled_set, teacher, tmp_path / "L", batch_tokens=200)
    texts = [line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:51]]
    logits = LogitCache.open(tmp_path / "L").logits(content_keys(TASK, pa.table({"text": texts})), TASK)
    assert_close(logits, reference(tiny_teacher, texts))
    assert np.ptp(logits) > 0.1


def test_texts_that_are_empty_or_of_unknown_words_get_the_logits_transformers_gives(teacher, tiny_teacher):
    rows = rows_of(teacher.encode(TASK, pa.table({"text": TEXTS}), None))
    assert_close(teacher.logits(rows, None), reference(tiny_teacher, TEXTS))


def test_the_teacher_is_in_eval_mode(teacher):
    assert teacher.model.config.hidden_dropout_prob > 0
    rows = rows_of(teacher.encode(TASK, pa.table({"text": TEXTS}), None))
    np.testing.assert_array_equal(teacher.logits(rows, None), teacher.logits(rows, None))


def test_bfloat16_gives_float32_arrays_near_the_float32_logits(teacher, tiny_teacher):
    half = Huggingface(str(tiny_teacher), dtype="bfloat16")
    rows = rows_of(teacher.encode(TASK, pa.table({"text": TEXTS}), None))
    logits, exact = half.logits(rows, None), teacher.logits(rows, None)
    assert logits.dtype == np.float32
    assert 0 < np.abs(logits - exact).max() < 0.05 * np.abs(exact).max() + 0.2


def test_auto_is_one_of_the_two_precisions(tiny_teacher):
    assert Huggingface(str(tiny_teacher)).dtype in ("float32", "bfloat16")


def test_an_unknown_precision_is_refused(tiny_teacher):
    with pytest.raises(StillhouseError, match="dtype: must be one of auto, float32, bfloat16, got 'float23'"):
        Huggingface(str(tiny_teacher), dtype="float23")


def test_neither_loading_nor_labelling_touches_the_global_generators(tiny_teacher, labelled_set, tmp_path):
    before = generators()
    label_rows(labelled_set, Huggingface(str(tiny_teacher), dtype="float32"), tmp_path / "L")
    assert generators() == before


def test_texts_longer_than_the_maximum_are_cut_and_counted(tiny_teacher, labelled_set, labelled_file, tmp_path):
    texts = [line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:]]
    teacher = Huggingface(str(tiny_teacher), max_length=8, dtype="float32")
    done = label_rows(labelled_set, teacher, tmp_path / "L")
    # Two of the eight tokens are the special ones.
    assert done.cut == sum(len(text.split()) > 6 for text in set(texts)) > 0
    lengths = LogitCache.open(tmp_path / "L").tokens()[1]
    assert lengths.max() == 8
    assert (lengths == 8).sum() == sum(len(text.split()) >= 6 for text in set(texts))


@pytest.mark.parametrize("length", [-1, 0, 4, 33])
def test_a_length_the_model_cannot_take_is_refused(tiny_teacher, length):
    with pytest.raises(StillhouseError, match=f"max-length: must be between 5 and 32, got {length}"):
        Huggingface(str(tiny_teacher), max_length=length)


def test_class_names_are_matched_whatever_their_order_and_case(tiny_teacher, labelled_set, tmp_path):
    plain = Huggingface(str(copy_of(tiny_teacher, tmp_path / "a", **named("neg", "pos"))), dtype="float32")
    turned = Huggingface(str(copy_of(tiny_teacher, tmp_path / "b", **named("POS", "Neg"))), dtype="float32")
    assert plain.classes(TASK) == ("neg", "pos")
    assert turned.classes(TASK) == ("pos", "neg")
    label_rows(labelled_set, plain, tmp_path / "L")
    label_rows(labelled_set, turned, tmp_path / "M")
    one, other = LogitCache.open(tmp_path / "L"), LogitCache.open(tmp_path / "M")
    np.testing.assert_array_equal(one.logits(one.keys(), TASK), other.logits(one.keys(), TASK)[:, ::-1])


def test_default_names_are_matched_by_order(teacher):
    assert teacher.classes(TASK) == ("neg", "pos")
    assert teacher.classes(Task("text", ("text",), classes=("1", "0"))) == ("1", "0")


def test_an_unlabelled_task_takes_the_teachers_own_names(tiny_teacher, tmp_path):
    folder = copy_of(tiny_teacher, tmp_path / "a", **named("dull", "great"))
    assert Huggingface(str(folder)).classes(Task("text", ("text",))) == ("dull", "great")


def test_other_names_are_refused_and_both_lists_shown(tiny_teacher, tmp_path):
    folder = copy_of(tiny_teacher, tmp_path / "a", **named("negative", "pos"))
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(neg, pos\), got negative, pos"):
        Huggingface(str(folder)).classes(TASK)


def test_another_number_of_classes_is_refused_and_both_lists_shown(teacher):
    three = Task("text", ("text",), classes=("bad", "fine", "good"))
    with pytest.raises(StillhouseError, match=r"task \(bad, fine, good\), got LABEL_0, LABEL_1"):
        teacher.classes(three)


def test_a_regression_teacher_has_one_output_and_no_classes(tmp_path):
    scorer = saved(lambda: BertForSequenceClassification(BertConfig(**SIZES, num_labels=1)), tmp_path / "m")
    (tmp_path / "rows.csv").write_text("text,score\ngood film,3.5\nbad film,-1\nfine,\n")
    task = Task("text", ("text",), "score", "regression")
    augment_file(Source(tmp_path / "rows.csv"), task, tmp_path / "T", copies=0)
    label_rows(TransferSet.open(tmp_path / "T"), Huggingface(str(scorer), dtype="float32"), tmp_path / "L")
    cache = LogitCache.open(tmp_path / "L")
    texts = ["good film", "bad film", "fine"]
    logits = cache.logits(content_keys(task, pa.table({"text": texts})), task)
    assert (cache.classes, logits.shape) == ((), (3, 1))
    assert_close(logits, reference(scorer, texts))
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(neg, pos\), got LABEL_0"):
        Huggingface(str(scorer)).classes(TASK)


def test_a_classifier_is_refused_for_regression(teacher):
    with pytest.raises(StillhouseError, match="must give 1 score for regression, got 2 classes"):
        teacher.classes(Task("text", ("text",), "score", "regression"))


def test_a_teacher_in_another_place_has_the_same_identity(teacher, tiny_teacher, tmp_path):
    shutil.copytree(tiny_teacher, tmp_path / "a")
    assert Huggingface(str(tmp_path / "a"), dtype="float32").identity(None) == teacher.identity(None)


def changed_weights(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"] = tensors["classifier.bias"] + np.float32(1e-3)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def changed_tokenizer(folder):
    stored = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = stored["model"]["vocab"]
    vocabulary["good"], vocabulary["bad"] = vocabulary["bad"], vocabulary["good"]
    (folder / "tokenizer.json").write_text(json.dumps(stored))


def changed_config(folder):
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "layer_norm_eps": 1e-3}))


@pytest.mark.parametrize("change", [changed_weights, changed_tokenizer, changed_config])
def test_the_cache_of_a_changed_teacher_is_refused(teacher, tiny_teacher, labelled_set, tmp_path, change):
    label_rows(labelled_set, teacher, tmp_path / "L")
    change(copy_of(tiny_teacher, tmp_path / "changed"))
    with pytest.raises(StillhouseError, match=r"teacher must be what the logit cache was made with .* use another"):
        label_rows(labelled_set, Huggingface(str(tmp_path / "changed"), dtype="float32"), tmp_path / "L")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_length": 8, "dtype": "float32"}, r"max_length must be .* \(32\), got 8"),
        ({"dtype": "bfloat16"}, r'dtype must be .* \("float32"\), got "bfloat16"'),
    ],
)
def test_the_cache_of_another_setting_is_refused(teacher, tiny_teacher, labelled_set, tmp_path, setting, message):
    label_rows(labelled_set, teacher, tmp_path / "L")
    with pytest.raises(StillhouseError, match=message):
        label_rows(labelled_set, Huggingface(str(tiny_teacher), **setting), tmp_path / "L")


def test_a_tokenizer_kept_in_vocab_json_is_part_of_the_identity(tiny_teacher, tmp_path):
    # The layout of older byte-level models: vocab.json and merges.txt, no tokenizer.json.
    letters = {word: place for place, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefgh", "Ġ"])}
    turned = {**letters, "a": letters["b"], "b": letters["a"]}
    identities = []
    for name, vocabulary in (("one", letters), ("other", turned)):
        folder = copy_of(tiny_teacher, tmp_path / name)
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 32})
        )
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        teacher = Huggingface(str(folder), dtype="float32")
        identities.append((teacher.encode(TASK, pa.table({"text": ["ab"]}), None).ids.tolist(), teacher.identity(None)))
    assert identities[0][0] != identities[1][0]
    assert identities[0][1] != identities[1][1]


def without_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def without_config(folder):
    (folder / "config.json").unlink()


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def with_garbage_for_weights(folder):
    (folder / "model.safetensors").write_bytes(b"not weights at all" * 100)


def with_truncated_weights(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def with_garbage_for_config(folder):
    (folder / "config.json").write_text("{not json")


def with_a_list_for_config(folder):
    (folder / "config.json").write_text("[]")


def with_garbage_for_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{not json")


def with_a_layer_missing(folder):
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "num_hidden_layers": 3}))


def with_another_number_of_classes(folder):
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, **named("a", "b", "c")}))


def of_an_unknown_kind(folder):
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "model_type": "nosuchmodel"}))


@pytest.mark.parametrize(
    "spoil",
    [
        without_tokenizer,
        without_config,
        without_weights,
        with_garbage_for_weights,
        with_truncated_weights,
        with_garbage_for_config,
        with_a_list_for_config,
        with_garbage_for_tokenizer,
        with_a_layer_missing,
        with_another_number_of_classes,
        of_an_unknown_kind,
    ],
)
def test_a_broken_teacher_is_refused_in_one_line_that_names_it(tiny_teacher, tmp_path, spoil):
    spoil(copy_of(tiny_teacher, tmp_path / "broken"))
    with pytest.raises(StillhouseError, match=str(tmp_path / "broken")) as refused:
        Huggingface(str(tmp_path / "broken"), dtype="float32")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertModel])
def test_a_model_without_a_trained_classifier_is_refused(tmp_path, kind):
    # Transformers would give such a model a head of random weights.
    saved(lambda: kind(BertConfig(**SIZES)), tmp_path / "m")
    with pytest.raises(StillhouseError, match="must be a sequence-classification model"):
        Huggingface(str(tmp_path / "m"), dtype="float32")


def test_an_unknown_name_offline_is_one_line(labelled_set):
    done = stillhouse(
        "label", labelled_set.store.path, "--teacher", "no-such/model", "--out", "nowhere", HF_HUB_OFFLINE="1"
    )
    error = one_line_error(done)
    assert error.startswith("stillhouse: no-such/model: must be a sequence-classification model and its tokenizer: ")


def test_a_masked_word_is_the_teachers_own_mask(tmp_path):
    vocabulary = {word: place for place, word in enumerate([*SPECIAL[:4], "<mask>", *WORDS])}
    tokenizer = BertTokenizer(vocab=vocabulary, mask_token="<mask>", model_max_length=32)
    folder = saved(lambda: BertForSequenceClassification(BertConfig(**SIZES)), tmp_path / "m", tokenizer)
    teacher = Huggingface(str(folder), dtype="float32")
    texts = pa.table({"text": ["a [MASK] film [MASK]", "[MASK]", "a film"]})
    encoded = teacher.encode(TASK, texts, "[MASK]")
    a, film, mask, begin, end = (vocabulary[word] for word in ("a", "film", "<mask>", "[CLS]", "[SEP]"))
    assert [row.tolist() for row in rows_of(encoded)] == [
        [begin, a, mask, film, mask, end],
        [begin, mask, end],
        [begin, a, film, end],
    ]
    # Without masked words in the transfer set the brackets are text like any other.
    assert mask not in teacher.encode(TASK, texts, None).ids


def test_pairs_are_read_with_token_types(teacher, tiny_teacher, tmp_path):
    firsts, seconds = ["good film", "a dull plot with no story", "fine"], ["great", "bad acting", ""]
    rows = [json.dumps({"a": a, "b": b}) for a, b in zip(firsts, seconds, strict=True)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    augment_file(Source(tmp_path / "rows.jsonl"), PAIR, tmp_path / "T", copies=0)
    label_rows(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")
    table = pa.table({"a": firsts, "b": seconds})
    logits = LogitCache.open(tmp_path / "L").logits(content_keys(PAIR, table), PAIR)
    assert_close(logits, reference(tiny_teacher, firsts, seconds))
    encoded = teacher.encode(PAIR, table, None)
    without = teacher.logits(rows_of(encoded), [np.zeros(length, np.uint8) for length in encoded.lengths])
    assert np.abs(without - logits).max() > 1e-3


def test_token_types_say_which_text_a_token_is_from(teacher):
    encoded = teacher.encode(PAIR, pa.table({"a": ["good film"], "b": ["bad"]}), None)
    assert encoded.types.tolist() == [0, 0, 0, 0, 1, 1]
    assert teacher.encode(TASK, pa.table({"text": ["good film"]}), None).types is None


def test_features_are_refused_in_one_line(teacher, tmp_path):
    (tmp_path / "rows.csv").write_text("x,y,label\n1,2.5,neg\n3,4.5,pos\n")
    task = Task("features", ("x", "y"), "label", classes=("neg", "pos"))
    augment_file(Source(tmp_path / "rows.csv"), task, tmp_path / "T", copies=0)
    with pytest.raises(StillhouseError, match="text"):
        label_rows(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")


def test_a_teacher_without_a_padding_token_is_right_in_batches_or_refused(tmp_path):
    tokenizer = BertTokenizer(
        vocab={word: place for place, word in enumerate([*SPECIAL, *WORDS])}, pad_token=None, model_max_length=32
    )
    sizes = {"vocab_size": SIZES["vocab_size"], "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    config = GPT2Config(**sizes, num_labels=2, bos_token_id=2, eos_token_id=3)
    folder = saved(lambda: GPT2ForSequenceClassification(config), tmp_path / "m", tokenizer)
    try:
        teacher = Huggingface(str(folder), dtype="float32")
        rows = rows_of(teacher.encode(TASK, pa.table({"text": TEXTS}), None))
        together = teacher.logits(rows, None)
    except StillhouseError:
        return
    assert_close(together, np.concatenate([teacher.logits([row], None) for row in rows]))


def test_keep_writes_the_tokenizer_and_the_input_embeddings(teacher, tmp_path):
    teacher.keep(tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["embeddings.safetensors", "tokenizer.json"]
    table = load_file(tmp_path / "kept" / "embeddings.safetensors")["embeddings"]
    own = teacher.model.get_input_embeddings().weight.detach().numpy()
    assert (table.dtype, table.shape) == (np.float16, (SIZES["vocab_size"], 16))
    np.testing.assert_array_equal(table, own.astype(np.float16))
    tokenizer = Tokenizer.from_file(str(tmp_path / "kept" / "tokenizer.json"))
    assert (
        tokenizer.encode("Good film").ids == teacher.encode(TASK, pa.table({"text": ["Good film"]}), None).ids.tolist()
    )


def test_a_run_killed_while_it_keeps_the_teachers_files_keeps_them_when_resumed(
    teacher, labelled_set, tmp_path, monkeypatch
):
    write, written = label.huggingface.write_file, []

    def dies_at_the_second(path, data):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, data)

    monkeypatch.setattr(label.huggingface, "write_file", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        label_rows(labelled_set, teacher, tmp_path / "L")
    monkeypatch.undo()
    label_rows(labelled_set, teacher, tmp_path / "L")
    kept = LogitCache.open(tmp_path / "L").teacher_folder
    assert sorted(path.name for path in kept.iterdir()) == ["embeddings.safetensors", "tokenizer.json"]
