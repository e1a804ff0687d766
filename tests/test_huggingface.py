"""The Hugging Face teacher: what transformers itself would say, matched classes, and one line for a bad model."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import WORDS, one_line_error, stillhouse
from safetensors.numpy import load_file, save_file
from tiny_classifiers import CLASSIFIERS, save_classifier
from tokenizers import Tokenizer
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
)

import transferset.logit_cache
from augment import augment_file
from label import label as label_rows
from label.huggingface import Huggingface
from label.teacher import Request
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
OTHERS = ["bad", "fine film", "", "the movie was so so dull and slow", "x"]

pytestmark = pytest.mark.usefixtures("one_thread")


def teacher_of(folder, **options):
    return Huggingface(str(folder), **{"dtype": "float32", **options})


def loaded(folder, task=TASK, signals=("logits",), mask_token=None, **options):
    return teacher_of(folder, **options).load(Request(task, signals, mask_token))


def answered(teacher, *columns):
    """The signals of some rows."""
    return teacher.answer(pa.table(dict(zip("ab", columns, strict=False)))).signals


@pytest.fixture(scope="module")
def teacher(tiny_teacher):
    return teacher_of(tiny_teacher)


@pytest.fixture(scope="module")
def labelled_set(labelled_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "T"
    augment_file(Source(labelled_file), TASK, out, copies=0)
    return TransferSet.open(out)


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    """A classifier of every architecture, by kind."""
    return {kind: save_classifier(kind, tmp_path_factory.mktemp(kind)) for kind in CLASSIFIERS}


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


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("batch_tokens", [1, 1000])
def test_every_architecture_says_in_batches_what_transformers_says_of_each_row(classifiers, kind, batch_tokens):
    folder = classifiers[kind]
    # Where a tokenizer adds no tokens of its own, nothing is left of an empty text.
    texts = [text for text in TEXTS if text or kind != "gpt2"]
    text, pair = loaded(folder, batch_tokens=batch_tokens), loaded(folder, PAIR, batch_tokens=batch_tokens)
    assert_close(answered(text, texts)["logits"], reference(folder, texts))
    assert_close(answered(pair, TEXTS, OTHERS)["logits"], reference(folder, TEXTS, OTHERS))
    assert np.ptp(answered(text, texts)["logits"][:, 0]) > 0.05


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_architecture_gives_all_signals_in_one_pass(classifiers, kind):
    texts = [text for text in TEXTS if text or kind != "gpt2"]
    teacher = loaded(classifiers[kind], signals=("logits", "embedding", "hidden"), pooling="cls", hidden_layers="0,1")
    together = answered(teacher, texts)
    assert {name: matrix.shape for name, matrix in together.items()} == {
        "logits": (len(texts), 2),
        "embedding": (len(texts), 16),
        "hidden": (len(texts), 32),
    }
    assert teacher.description.widths == {"logits": 2, "embedding": 16, "hidden": 32}
    assert_close(together["logits"], reference(classifiers[kind], texts))
    alone = [answered(teacher, [text]) for text in texts]
    for name, matrix in together.items():
        assert_close(matrix, np.concatenate([each[name] for each in alone]))


def test_a_text_of_no_tokens_is_one_line(classifiers):
    with pytest.raises(StillhouseError, match="must be given texts of at least one token, got an empty text"):
        answered(loaded(classifiers["gpt2"]), ["good", ""])


def test_labelled_in_batches_equals_one_text_at_a_time(tiny_teacher, labelled_set, labelled_file, tmp_path):
    label_rows(labelled_set, teacher_of(tiny_teacher, batch_tokens=200), tmp_path / "L")
    texts = [line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:51]]
    logits = LogitCache.open(tmp_path / "L").logits(content_keys(TASK, pa.table({"text": texts})), TASK)
    assert_close(logits, reference(tiny_teacher, texts))
    assert np.ptp(logits) > 0.1


def test_texts_that_are_empty_or_of_unknown_words_get_the_logits_transformers_gives(tiny_teacher):
    assert_close(answered(loaded(tiny_teacher), TEXTS)["logits"], reference(tiny_teacher, TEXTS))


def test_public_bug_1_the_teacher_is_in_eval_mode(tiny_teacher):
    assert AutoModelForSequenceClassification.from_pretrained(tiny_teacher).config.hidden_dropout_prob > 0
    teacher = loaded(tiny_teacher, signals=("logits", "embedding", "hidden"))
    one, other = answered(teacher, TEXTS), answered(teacher, TEXTS)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_an_unknown_precision_is_refused():
    with pytest.raises(
        StillhouseError, match="dtype: must be one of auto, float32, bfloat16, onnx, int8, got 'float23'"
    ):
        Huggingface("somewhere", dtype="float23")


@pytest.mark.parametrize("name", ["batch_tokens", "max_length"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_that_are_not_positive_are_refused_before_anything_is_loaded(name, value):
    with pytest.raises(StillhouseError, match=f"{name.replace('_', '-')}: must be at least 1, got {value}"):
        Huggingface("somewhere", **{name: value})


def test_an_unknown_pooling_is_refused():
    with pytest.raises(StillhouseError, match="pooling: must be one of mean, cls, got 'max'"):
        Huggingface("somewhere", pooling="max")


@pytest.mark.parametrize("given", ["3", "-1", "1,1", "", "one", "1;2", "0.5"])
def test_layers_that_a_model_does_not_have_are_refused(tiny_teacher, given):
    with pytest.raises(
        StillhouseError, match="hidden-layers: must be all, or different numbers from 0 to 2 with commas"
    ):
        loaded(tiny_teacher, signals=("hidden",), hidden_layers=given)


def test_the_settings_of_a_signal_are_part_of_the_identity_only_where_it_is_asked_for(tiny_teacher):
    def identity(*signals, **options):
        return loaded(tiny_teacher, signals=signals, **options).description.identity

    assert identity("logits", pooling="cls", hidden_layers="1") == identity("logits")
    assert identity("logits", "embedding", pooling="cls") != identity("logits", "embedding")
    assert identity("logits", "hidden", hidden_layers="1") != identity("logits", "hidden")
    assert identity("logits", "hidden", hidden_layers="1,2") == identity("logits", "hidden")
    # Neither does it matter how many tokens are read at once.
    assert identity("logits", batch_tokens=7) == identity("logits")


def test_neither_loading_nor_labelling_touches_the_global_generators(tiny_teacher, labelled_set, tmp_path):
    before = generators()
    label_rows(labelled_set, teacher_of(tiny_teacher), tmp_path / "L")
    assert generators() == before


def test_texts_longer_than_the_maximum_are_cut_and_counted(tiny_teacher, labelled_set, labelled_file, tmp_path):
    texts = {line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:]}
    done = label_rows(labelled_set, teacher_of(tiny_teacher, max_length=8), tmp_path / "L")
    # Two of the eight tokens are the special ones.
    assert done.cut == sum(len(text.split()) > 6 for text in texts) > 0
    cache = LogitCache.open(tmp_path / "L")
    assert sum(part.notes["cut"] for part in cache.store.parts()) == done.cut
    (long,) = sorted(texts, key=len)[-1:]
    head = " ".join(long.split()[:6])
    logits = cache.logits(content_keys(TASK, pa.table({"text": [long]})), TASK)
    assert_close(logits, reference(tiny_teacher, [head]))


@pytest.mark.parametrize("length", [2, 33])
def test_a_length_the_model_cannot_take_is_refused(tiny_teacher, length):
    with pytest.raises(StillhouseError, match=f"max-length: must be between 3 and 32, got {length}"):
        loaded(tiny_teacher, max_length=length)


@pytest.mark.parametrize(("length", "used"), [(None, 32), (3, 3), (32, 32)])
def test_the_length_is_what_is_asked_or_all_that_the_model_takes(tiny_teacher, length, used):
    assert loaded(tiny_teacher, max_length=length).description.identity["max_length"] == used


def test_roberta_takes_two_tokens_fewer_than_it_has_positions(classifiers):
    assert loaded(classifiers["roberta"]).description.identity["max_length"] == 98
    answered(loaded(classifiers["roberta"]), ["good " * 200])


def test_class_names_are_matched_whatever_their_order_and_case(tiny_teacher, labelled_set, tmp_path):
    plain = teacher_of(copy_of(tiny_teacher, tmp_path / "a", **named("neg", "pos")))
    turned = teacher_of(copy_of(tiny_teacher, tmp_path / "b", **named("POS", "Neg")))
    assert plain.load(Request(TASK)).description.classes == ("neg", "pos")
    assert turned.load(Request(TASK)).description.classes == ("pos", "neg")
    label_rows(labelled_set, plain, tmp_path / "L")
    label_rows(labelled_set, turned, tmp_path / "M")
    one, other = LogitCache.open(tmp_path / "L"), LogitCache.open(tmp_path / "M")
    np.testing.assert_array_equal(one.logits(one.keys(), TASK), other.logits(one.keys(), TASK)[:, ::-1])


def classes_of(tiny_teacher, folder, own, task):
    return loaded(copy_of(tiny_teacher, folder, **named(*own)), task).description.classes


def test_default_names_are_matched_by_order(tiny_teacher):
    assert loaded(tiny_teacher).description.classes == ("neg", "pos")
    assert loaded(tiny_teacher, Task("text", ("text",), classes=("1", "0"))).description.classes == ("1", "0")


def test_an_unlabelled_task_takes_the_teachers_own_names(tiny_teacher, tmp_path):
    task = Task("text", ("text",))
    assert classes_of(tiny_teacher, tmp_path / "a", ("dull", "great"), task) == ("dull", "great")
    assert loaded(tiny_teacher, task).description.classes == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize("own", [("negative", "pos"), ("neg", "neg"), ("LABEL_1", "LABEL_0")])
def test_other_names_are_refused_and_both_lists_shown(tiny_teacher, tmp_path, own):
    says = rf"classes must be those of the task \(neg, pos\), got {', '.join(own)}$"
    with pytest.raises(StillhouseError, match=says):
        classes_of(tiny_teacher, tmp_path / "a", own, TASK)


def test_another_number_of_classes_is_refused_and_both_lists_shown(tiny_teacher):
    three = Task("text", ("text",), classes=("bad", "fine", "good"))
    with pytest.raises(StillhouseError, match=r"task \(bad, fine, good\), got .*LABEL_0, LABEL_1"):
        loaded(tiny_teacher, three)


def regression_set(folder, scores="3.5,-1,"):
    folder.mkdir(exist_ok=True)
    rows = zip(("good film", "bad film", "fine"), scores.split(","), strict=True)
    (folder / "rows.csv").write_text("text,score\n" + "".join(f"{text},{score}\n" for text, score in rows))
    task = Task("text", ("text",), "score", "regression")
    augment_file(Source(folder / "rows.csv"), task, folder / "T", copies=0)
    return TransferSet.open(folder / "T")


def test_public_bug_3_of_regression_the_scores_are_the_teachers_and_not_the_gold_ones(tmp_path):
    scorer = saved(lambda: BertForSequenceClassification(BertConfig(**SIZES, num_labels=1)), tmp_path / "m")
    transfer = regression_set(tmp_path)
    label_rows(transfer, teacher_of(scorer), tmp_path / "L")
    cache, texts = LogitCache.open(tmp_path / "L"), ["good film", "bad film", "fine"]
    logits = cache.logits(content_keys(transfer.task, pa.table({"text": texts})), transfer.task)
    assert (cache.classes, logits.shape) == ((), (3, 1))
    assert_close(logits, reference(scorer, texts))
    # With other gold scores they are the same.
    label_rows(regression_set(tmp_path / "other", "0,0,9"), teacher_of(scorer), tmp_path / "M")
    other = LogitCache.open(tmp_path / "M").logits(cache.keys(), transfer.task)
    np.testing.assert_array_equal(other, cache.logits(cache.keys(), transfer.task))
    with pytest.raises(StillhouseError, match=r"classes must be those of the task \(neg, pos\), got LABEL_0"):
        loaded(scorer)


def test_a_classifier_is_refused_for_regression(tiny_teacher):
    with pytest.raises(StillhouseError, match="must give 1 score for regression, got 2 classes"):
        loaded(tiny_teacher, Task("text", ("text",), "score", "regression"))


def test_a_teacher_of_several_labels_gives_a_logit_for_each(tmp_path):
    topics = named("love", "war", "space")
    kind = {"problem_type": "multi_label_classification"}
    folder = saved(lambda: BertForSequenceClassification(BertConfig(**SIZES, **kind, **topics)), tmp_path / "m")
    task = Task("text", ("text",), "label", "multilabel", classes=("space", "love", "war"))
    teacher = loaded(folder, task)
    assert teacher.description.classes == ("love", "war", "space")
    assert_close(answered(teacher, TEXTS)["logits"], reference(folder, TEXTS))


def identity_of(folder, **options):
    return loaded(folder, **options).description.identity


def test_a_teacher_in_another_place_has_the_same_identity(tiny_teacher, tmp_path):
    shutil.copytree(tiny_teacher, tmp_path / "a")
    assert identity_of(tmp_path / "a") == identity_of(tiny_teacher)


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
def test_public_bug_14_the_cache_of_a_changed_teacher_is_refused(teacher, tiny_teacher, labelled_set, tmp_path, change):
    label_rows(labelled_set, teacher, tmp_path / "L", name="tiny")
    change(copy_of(tiny_teacher, tmp_path / "changed"))
    with pytest.raises(
        StillhouseError, match=r"must be a cache of this teacher \(tiny\), got one of another \(tiny, or"
    ):
        label_rows(labelled_set, teacher_of(tmp_path / "changed"), tmp_path / "L", name="tiny")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max_length": 8}, r"max_length must be .* \(32\), got 8"),
        ({"dtype": "bfloat16"}, r'dtype must be .* \("float32"\), got "bfloat16"'),
    ],
)
def test_the_cache_of_another_setting_is_refused(teacher, tiny_teacher, labelled_set, tmp_path, setting, message):
    label_rows(labelled_set, teacher, tmp_path / "L")
    with pytest.raises(StillhouseError, match=message):
        label_rows(labelled_set, teacher_of(tiny_teacher, **setting), tmp_path / "L")


def test_auto_goes_on_in_the_precision_that_a_cache_was_made_in(tiny_teacher, labelled_set, tmp_path):
    label_rows(labelled_set, teacher_of(tiny_teacher), tmp_path / "L")
    done = label_rows(labelled_set, teacher_of(tiny_teacher, dtype="auto"), tmp_path / "L")
    assert (done.labelled, done.teacher.identity["dtype"]) == (0, "float32")
    request = Request(TASK, made={"dtype": "bfloat16"})
    assert teacher_of(tiny_teacher, dtype="auto").load(request).description.identity["dtype"] == "bfloat16"


def test_bfloat16_gives_float32_arrays_near_the_float32_logits(tiny_teacher):
    exact, half = (answered(loaded(tiny_teacher, dtype=each), TEXTS)["logits"] for each in ("float32", "bfloat16"))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.05 * np.abs(exact).max() + 0.2


def test_a_tokenizer_kept_in_vocab_json_is_part_of_the_identity(tiny_teacher, tmp_path):
    # The layout of older byte-level models: vocab.json and merges.txt, no tokenizer.json.
    letters = {word: place for place, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefgh", "Ġ"])}
    turned = {**letters, "a": letters["b"], "b": letters["a"]}
    found = []
    for name, vocabulary in (("one", letters), ("other", turned)):
        folder = copy_of(tiny_teacher, tmp_path / name)
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "RobertaTokenizer", "model_max_length": 32})
        )
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        teacher = loaded(folder)
        found.append((answered(teacher, ["ab"])["logits"].tolist(), teacher.description.identity))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]


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
        loaded(tmp_path / "broken")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertModel])
def test_a_model_without_a_trained_classifier_is_refused(tmp_path, kind):
    # Transformers would give such a model a head of random weights.
    saved(lambda: kind(BertConfig(**SIZES)), tmp_path / "m")
    with pytest.raises(StillhouseError, match="must be a sequence-classification model"):
        loaded(tmp_path / "m")


def test_an_unknown_name_offline_is_one_line(labelled_set, tmp_path):
    out = tmp_path / "nowhere"
    done = stillhouse("label", labelled_set.store.path, "--teacher", "no-such/model", "--out", out, HF_HUB_OFFLINE="1")
    error = one_line_error(done)
    assert error.startswith("stillhouse: no-such/model: must be a sequence-classification model and its tokenizer: ")


def test_a_masked_word_is_the_teachers_own_mask(tmp_path):
    vocabulary = {word: place for place, word in enumerate([*SPECIAL[:4], "<mask>", *WORDS])}
    tokenizer = BertTokenizer(vocab=vocabulary, mask_token="<mask>", model_max_length=32)
    folder = saved(
        lambda: BertForSequenceClassification(BertConfig(**SIZES, initializer_range=1.0)), tmp_path / "m", tokenizer
    )
    masked, own = ["a [MASK] film [MASK]", "[MASK]"], ["a <mask> film <mask>", "<mask>"]
    teacher = loaded(folder, mask_token="[MASK]")
    np.testing.assert_array_equal(answered(teacher, masked)["logits"], answered(teacher, own)["logits"])
    assert teacher.description.identity["mask_token"] == "[MASK]"
    # Without masked words in the transfer set the brackets are text like any other.
    plain = loaded(folder)
    assert np.abs(answered(plain, masked)["logits"] - answered(plain, own)["logits"]).max() > 1e-3
    assert plain.description.identity["mask_token"] is None


def test_pairs_are_labelled_as_transformers_would(teacher, tiny_teacher, tmp_path):
    rows = [json.dumps({"a": a, "b": b}) for a, b in zip(TEXTS, OTHERS, strict=True)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    augment_file(Source(tmp_path / "rows.jsonl"), PAIR, tmp_path / "T", copies=0)
    label_rows(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")
    table = pa.table({"a": TEXTS, "b": OTHERS})
    logits = LogitCache.open(tmp_path / "L").logits(content_keys(PAIR, table), PAIR)
    assert_close(logits, reference(tiny_teacher, TEXTS, OTHERS))


def test_features_are_refused_in_one_line(teacher, tmp_path):
    (tmp_path / "rows.csv").write_text("x,y,label\n1,2.5,neg\n3,4.5,pos\n")
    task = Task("features", ("x", "y"), "label", classes=("neg", "pos"))
    augment_file(Source(tmp_path / "rows.csv"), task, tmp_path / "T", copies=0)
    with pytest.raises(StillhouseError, match="must be given texts, got a transfer set of features"):
        label_rows(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")


def test_a_teacher_without_a_padding_token_is_refused(classifiers, tmp_path):
    folder = copy_of(classifiers["gpt2"], tmp_path / "m", pad_token_id=None)
    stored = json.loads((folder / "tokenizer_config.json").read_text())
    stored.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(stored))
    with pytest.raises(StillhouseError, match="must name a padding token, got none"):
        loaded(folder)


def test_the_tokenizer_and_the_input_embeddings_are_kept(teacher, tiny_teacher, labelled_set, tmp_path):
    label_rows(labelled_set, teacher, tmp_path / "L")
    folder = LogitCache.open(tmp_path / "L").teacher_folder
    assert sorted(path.name for path in folder.iterdir()) == ["embeddings.safetensors", "files.json", "tokenizer.json"]
    table = load_file(folder / "embeddings.safetensors")["embeddings"]
    model = AutoModelForSequenceClassification.from_pretrained(tiny_teacher)
    own = model.get_input_embeddings().weight.detach().numpy()
    assert (table.dtype, table.shape) == (np.float16, (SIZES["vocab_size"], 16))
    np.testing.assert_array_equal(table, own.astype(np.float16))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("Good film").ids == AutoTokenizer.from_pretrained(tiny_teacher)("Good film")["input_ids"]


def test_a_run_killed_while_it_keeps_the_teachers_files_keeps_them_when_resumed(
    teacher, labelled_set, tmp_path, monkeypatch
):
    write, written = transferset.logit_cache.write_file, []

    def dies_at_the_second(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    monkeypatch.setattr(transferset.logit_cache, "write_file", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        label_rows(labelled_set, teacher, tmp_path / "L")
    monkeypatch.undo()
    label_rows(labelled_set, teacher, tmp_path / "L")
    kept = LogitCache.open(tmp_path / "L").teacher_folder
    assert sorted(path.name for path in kept.iterdir()) == ["embeddings.safetensors", "files.json", "tokenizer.json"]
    assert LogitCache.open(tmp_path / "L").verify() == []
