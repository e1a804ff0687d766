"""A student: its logits depend on the text alone, and its directory gives the same ones back or one line."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from stillhouse.cli import stillhouse
from students import Student, architecture_name, architectures, load_architecture, own_names
from students._config import Config
from students._words import Vocabulary
from students.bilstm import Bilstm
from transferset import StillhouseError, Task
from transferset.parameters import describe

TASK = Task("text", ("text",), "label", classes=("neg", "pos"))
WORDS = ("film", "good", "bad", "a", "the", "plot", "fine", "dull")
TEXTS = ["good film", "", "the plot , a dull film !", "bad", "fine fine fine fine fine", "[MASK] film", "unheard of"]


def make_student(task=TASK, lowercase=True, words=WORDS, seed=0):
    vocabulary = Vocabulary(words, "[MASK]", lowercase)
    size = Bilstm(width=8, hidden=8, vector_width=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = size.build(vocabulary, task, task.outputs)
    made_from = {"seed": seed, "objective": {"mse": {}}}
    return Student(Config(task, vocabulary, "bilstm", describe(size), "logits", task.outputs, made_from), model)


def logits_of(student, texts):
    return student.outputs(pa.table({"text": pa.array(texts, pa.string())}))


@pytest.fixture
def saved(tmp_path):
    make_student().save(tmp_path / "S", {"history": []})
    return tmp_path / "S"


def test_a_loaded_student_gives_the_same_bits(saved):
    student, loaded = make_student(), Student.load(saved)
    np.testing.assert_array_equal(logits_of(student, TEXTS), logits_of(loaded, TEXTS))
    assert (loaded.task, loaded.encoding) == (TASK, student.encoding)
    assert loaded.config == student.config
    assert Student.load(str(saved)).config == student.config
    assert loaded.metrics == {"history": []}


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize(
    "task",
    [
        Task("text", ("text",), "score", "regression"),
        Task("text", ("text",), "tags", "multilabel", ("a", "b", "c")),
        Task("text", ("text",), classes=("é", "日本")),
    ],
)
def test_every_kind_of_task_is_saved_and_loaded(tmp_path, task, lowercase):
    student = make_student(task, lowercase)
    student.save(tmp_path / "S", {})
    loaded = Student.load(tmp_path / "S")
    assert (loaded.task, loaded.encoding.lowercase) == (task, lowercase)
    assert logits_of(loaded, TEXTS).shape == (len(TEXTS), task.outputs)
    np.testing.assert_array_equal(logits_of(student, TEXTS), logits_of(loaded, TEXTS))


def test_neither_order_nor_company_nor_batch_size_changes_the_logits(monkeypatch):
    student = make_student()
    alone = np.concatenate([logits_of(student, [text]) for text in TEXTS])
    order = np.random.default_rng(0).permutation(len(TEXTS))
    np.testing.assert_allclose(logits_of(student, [TEXTS[n] for n in order]), alone[order], atol=1e-6)
    monkeypatch.setattr("students.student.BATCH_TOKENS", 4)
    np.testing.assert_allclose(logits_of(student, TEXTS), alone, atol=1e-6)


def test_words_it_does_not_know_are_all_alike():
    student = make_student()
    one, other, known = logits_of(student, ["a qwerty film", "a zxcvb film", "a good film"])
    np.testing.assert_array_equal(one, other)
    assert (one != known).any()


@pytest.mark.parametrize("lowercase", [True, False])
def test_case_counts_only_where_the_vocabulary_says_so(lowercase):
    one, other = logits_of(make_student(lowercase=lowercase), ["good film", "GOOD Film"])
    assert (one == other).all() == lowercase


def test_a_masked_word_is_not_an_unknown_one():
    masked, unknown, missing = logits_of(make_student(), ["a [MASK] film", "a qwerty film", "a film"])
    assert (masked != unknown).any()
    assert (masked != missing).any()


def test_no_rows_give_no_logits():
    assert logits_of(make_student(), []).shape == (0, 2)


def test_an_empty_text_has_finite_logits():
    assert np.isfinite(logits_of(make_student(), ["", "   "])).all()


@pytest.mark.parametrize("training", [True, False])
def test_predicting_uses_no_dropout_and_leaves_the_mode_as_it_was(training):
    student = make_student()
    student.model.train(training)
    np.testing.assert_array_equal(logits_of(student, TEXTS), logits_of(student, TEXTS))
    assert student.model.training is training


def test_chunked_columns_and_other_columns_are_read():
    student = make_student()
    table = pa.table({"more": range(len(TEXTS)), "text": pa.chunked_array([TEXTS[:3], TEXTS[3:]])})
    np.testing.assert_allclose(student.outputs(table), logits_of(student, TEXTS), atol=1e-6)


def test_the_last_weights_are_kept_beside_the_best(tmp_path):
    student, other, folder = make_student(), make_student(seed=1), tmp_path / "S"
    student.save(folder, {}, last=other.model.state_dict())
    best, last = (Student.load(folder, epoch) for epoch in ("best", "last"))
    np.testing.assert_array_equal(logits_of(best, TEXTS), logits_of(student, TEXTS))
    np.testing.assert_array_equal(logits_of(last, TEXTS), logits_of(other, TEXTS))
    assert {path.name for path in folder.iterdir()} <= own_names(folder)
    data = (folder / "last.safetensors").read_bytes()
    (folder / "last.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    Student.load(folder)
    with pytest.raises(StillhouseError, match=r"last\.safetensors: must have the checksum in config\.json"):
        Student.load(folder, "last")
    with pytest.raises(StillhouseError, match=r"last\.safetensors"):
        stillhouse(["verify", str(folder)], standalone_mode=False)
    # Saved anew without, there are none of the old one's.
    student.save(folder, {})
    assert not (folder / "last.safetensors").exists()
    np.testing.assert_array_equal(logits_of(Student.load(folder, "last"), TEXTS), logits_of(student, TEXTS))


def test_its_directory_holds_what_the_contract_says_and_no_pickle(saved):
    names = sorted(path.name for path in saved.iterdir())
    assert names == ["README.md", "config.json", "metrics.json", "model.safetensors", "vocabulary.json"]
    for path in saved.iterdir():
        # A pickle of protocol 2 and later begins with this byte; torch's own files are zip archives of pickles.
        assert path.read_bytes()[:1] != b"\x80"
        assert path.read_bytes()[:2] != b"PK"
    assert json.loads((saved / "metrics.json").read_text()) == {"history": []}


def test_the_configuration_is_written_last(tmp_path, monkeypatch):
    from students import student as module

    written = []
    write = module.write_file
    monkeypatch.setattr(module, "write_file", lambda path, *rest: (written.append(path.name), write(path, *rest)))
    make_student().save(tmp_path / "S", {})
    assert written[-1] == "config.json"
    assert sorted(written) == sorted(set(written))


def refused(folder):
    with pytest.raises(StillhouseError) as found:
        Student.load(folder)
    assert "\n" not in str(found.value)
    assert str(folder) in str(found.value)
    return str(found.value)


def edit_config(folder, **changes):
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, **changes}))


@pytest.mark.parametrize("given", [2, 99, "1", None])
def test_a_newer_format_is_refused(saved, given):
    edit_config(saved, format=given)
    assert f"format must be 1 or older, got {given!r}: upgrade stillhouse" in refused(saved)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "model.safetensors"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    assert name in refused(saved)


def test_a_missing_directory_is_refused(tmp_path):
    assert "must be a student's directory" in refused(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "model.safetensors"])
@pytest.mark.parametrize("data", [b"", b"garbage \xff\x00" * 20, b"[]", b"{}", b'{"a": 1}', b"[1, 2]", b"null"])
def test_a_damaged_file_is_named(saved, name, data):
    (saved / name).write_bytes(data)
    refused(saved)


@pytest.mark.parametrize("name", ["config.json", "vocabulary.json", "model.safetensors"])
def test_a_truncated_file_is_refused(saved, name):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: len(data) // 2])
    assert name in refused(saved)


@pytest.mark.parametrize("words", [WORDS[:-1], (*WORDS, "more"), ()])
def test_a_vocabulary_of_another_size_is_refused(saved, words):
    (saved / "vocabulary.json").write_text(json.dumps(words))
    assert "must hold the weights that config.json describes" in refused(saved)


def test_weights_of_another_width_are_refused(saved):
    edit_config(saved, parameters={"width": 16, "hidden": 8, "vector_width": 8})
    assert "must hold the weights that config.json describes" in refused(saved)


def test_a_missing_tensor_is_refused(saved):
    tensors = load_file(saved / "model.safetensors")
    tensors.pop("output.bias")
    save_file(tensors, saved / "model.safetensors")
    assert "must hold the weights that config.json describes" in refused(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"student": "nosuch"},
        {"student": 7},
        {"parameters": {"width": "wide"}},
        {"parameters": {"nosuch": 1}},
        {"parameters": {"width": 0}},
        {"parameters": 3},
        {"task": {"kind": "text"}},
        {"task": {"kind": "nosuch", "inputs": ["a"]}},
        {"task": []},
        {"task": None},
        {"encoding": {"kind": "nosuch"}},
        {"encoding": {"kind": "words", "nosuch": 1}},
        {"encoding": {"kind": "words", "max_tokens": 0}},
        {"encoding": {"kind": "pieces"}},
        {"encoding": {}},
        {"encoding": []},
        {"output": "nosuch"},
        {"width": 3},
        {"width": 0},
        {"width": "2"},
        {"made_from": 5},
        {"checksums": {}},
        {"checksums": []},
    ],
)
def test_a_configuration_that_describes_no_student_is_refused_in_one_line(saved, change):
    edit_config(saved, **change)
    with pytest.raises(StillhouseError) as found:
        Student.load(saved)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "name", ["task", "parameters", "student", "encoding", "output", "width", "made_from", "checksums"]
)
def test_a_configuration_without_one_of_its_entries_is_refused(saved, name):
    stored = json.loads((saved / "config.json").read_text())
    del stored[name]
    (saved / "config.json").write_text(json.dumps(stored))
    wanted = {"student": "got a config of something else", "checksums": "must have the checksum in config.json"}
    assert wanted.get(name, f"config.json must describe a student: '{name}' is missing") in refused(saved)


@pytest.mark.parametrize("name", [name for name, cls in architectures().items() if "text" in cls.kinds])
def test_every_kind_of_student_builds_from_its_defaults_and_is_found_by_its_name(name):
    architecture = load_architecture(name, {"vector_width": 8})
    assert architecture_name(architecture) == name
    assert architecture.vector_width == 8
    with torch.random.fork_rng(devices=[]):
        model = architecture.build(Vocabulary(WORDS), TASK, outputs=3).eval()
    assert model.vectors.weight.shape == (11, 8)
    with torch.inference_mode():
        assert model(torch.tensor([[3, 4, 5], [6, 0, 0]]), torch.tensor([3, 1])).shape == (2, 3)


def test_an_unknown_kind_of_student_is_refused_and_the_nearest_named():
    with pytest.raises(StillhouseError, match=r"student: must be one of .*bilstm.*did you mean 'bilstm'\?"):
        load_architecture("bilstn", {})


def test_one_flipped_bit_of_the_weights_is_found(saved):
    path = saved / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "must have the checksum in config.json" in refused(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"vector_width": 2**62}},
        {"parameters": {"vector_width": 2**70}},
        {"width": 2**62, "output": "embedding"},
        {"student": "mlp", "parameters": {}},
        {"task": {"kind": "features", "inputs": ["text"], "classes": ["neg", "pos"]}},
        {"task": {"kind": "text", "inputs": "text", "classes": ["neg", "pos"]}},
        {"task": {"kind": "text", "inputs": ["text"], "classes": ["neg", "neg"]}},
        {"task": {"kind": "text", "inputs": ["text"], "classes": [1, 2]}},
        {"made_from": {"transfer": "\ud800"}},
        {"encoding": {"kind": "words", "mask_token": None, "lowercase": True, "max_tokens": 1.5}},
    ],
)
def test_a_config_that_describes_what_cannot_be_is_one_line(saved, change):
    stored = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**stored, **change}))
    assert "\n" not in refused(saved)


def test_json_nested_beyond_reason_is_one_line(saved):
    for name in ("config.json", "metrics.json", "vocabulary.json"):
        before = (saved / name).read_bytes()
        (saved / name).write_text("[" * 100_000)
        assert "nested" in refused(saved)
        (saved / name).write_bytes(before)
