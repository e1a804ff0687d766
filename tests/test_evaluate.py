"""Evaluating and predicting: the metrics of the file's labelled rows, and answers that are shares."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import stillhouse

from students import Student, answers, evaluate, inputs_of
from students._gold import gold_targets
from students._vocabulary import Vocabulary
from students.bilstm import Bilstm
from students.metrics import scores
from transferset import LogitCache, Source, StillhouseError, Task, content_keys

TASK = Task("text", ("text",), "label", classes=("neg", "pos"))
SEVERAL = Task("text", ("text",), "tags", "multilabel", ("a", "b", "c"))
SCORE = Task("text", ("text",), "score", "regression")
TEXTS = ["good film", "a bad plot", "", "dull", "fine film", "bad bad bad"]
GOLD = ["pos", "neg", "neg", "", "pos", "pos"]


def make_student(task=TASK):
    """A student of random weights, large enough that it does not say the same of every text."""
    size = Bilstm(width=8, hidden=8, vector_width=8)
    vocabulary = Vocabulary(("film", "good", "bad", "a", "plot", "fine", "dull"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = size.build(len(vocabulary), task.outputs)
        for each in model.parameters():
            each.data *= 4
    return Student(task, size, vocabulary, model, {})


@pytest.fixture
def file(tmp_path):
    lines = [f"{text},{label}" for text, label in zip(TEXTS, GOLD, strict=True)]
    (tmp_path / "dev.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    return Source(tmp_path / "dev.csv")


def cache_of(folder, texts, logits):
    about = {"classes": ["pos", "neg"], "signals": {"logits": 2}, "storage": "float32"}
    cache = LogitCache.create(folder, about, {})
    keys = content_keys(TASK, pa.table({"text": texts}))
    cache.append(keys, {"logits": logits[:, ::-1]})
    return cache


def test_the_metrics_are_those_of_the_rows_with_a_label(file):
    student = make_student()
    labelled = [place for place, label in enumerate(GOLD) if label]
    logits = student.logits(pa.table({"text": [TEXTS[place] for place in labelled]}))
    gold = np.array([TASK.classes.index(GOLD[place]) for place in labelled])
    assert evaluate(student, file) == {"rows": 5.0, **scores(logits, gold, TASK)}


def test_with_a_cache_the_agreement_with_the_teacher_is_among_them(file, tmp_path):
    student = make_student()
    logits = student.logits(pa.table({"text": TEXTS}))
    assert evaluate(student, file, cache_of(tmp_path / "same", TEXTS, logits))["agreement"] == 1.0
    turned = logits.copy()
    turned[[0, 4]] = turned[[0, 4], ::-1]
    # Two of the five labelled rows are turned; the row without a label does not count.
    assert evaluate(student, file, cache_of(tmp_path / "other", TEXTS, turned))["agreement"] == pytest.approx(3 / 5)
    assert "agreement" not in evaluate(student, file)


def test_a_cache_without_the_rows_of_the_file_is_refused(file, tmp_path):
    cache = cache_of(tmp_path / "L", TEXTS[:2], np.zeros((2, 2), np.float32))
    with pytest.raises(StillhouseError, match="3 of 5 are missing: run `stillhouse label`"):
        evaluate(make_student(), file, cache)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\ngood film,pos\nbad film,meh\n", r"row 2, column 'label' must hold one of .*neg, pos.* got 'meh'"),
        ("text,stars\ngood film,pos\n", r"column: must be one of text, stars, got 'label'"),
        ("text,label\n", "must hold at least one row, got none"),
        ("", "got an empty file"),
        ("text,label\ngood film,\n", "column 'label' must hold labels, got only empty cells"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, content, message):
    (tmp_path / "dev.csv").write_text(content)
    with pytest.raises(StillhouseError, match=message):
        evaluate(make_student(), Source(tmp_path / "dev.csv"))


def test_a_student_that_never_had_labels_cannot_be_measured(file):
    student = make_student(Task("text", ("text",), classes=("neg", "pos")))
    with pytest.raises(StillhouseError, match="must have gold labels to measure by"):
        evaluate(student, file)


def test_several_labels_and_scores_are_measured(tmp_path):
    (tmp_path / "tags.csv").write_text("text,tags\ngood film,a|c\nbad film,\nfine,b\n")
    student = make_student(SEVERAL)
    found = evaluate(student, Source(tmp_path / "tags.csv"))
    gold = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.float32)
    logits = student.logits(pa.table({"text": ["good film", "bad film", "fine"]}))
    assert found == {"rows": 3.0, **scores(logits, gold, SEVERAL)}
    (tmp_path / "scores.csv").write_text("text,score\ngood film,2.5\nbad film,-1\nfine,\n")
    student = make_student(SCORE)
    found = evaluate(student, Source(tmp_path / "scores.csv"))
    logits = student.logits(pa.table({"text": ["good film", "bad film"]}))
    assert found == {"rows": 2.0, **scores(logits, np.array([[2.5], [-1]], np.float32), SCORE)}


def test_gold_targets_are_numbers_flags_or_scores():
    codes, there = gold_targets(pa.chunked_array([["pos", None], ["neg"]]), TASK)
    assert (codes.tolist(), codes.dtype, there.tolist()) == ([1, 0, 0], np.int64, [True, False, True])
    lists = pa.chunked_array([[["c", "a"], []], [None, ["b"]]], pa.list_(pa.string()))
    flags, there = gold_targets(lists, SEVERAL)
    assert flags.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert (flags.dtype, there.tolist()) == (np.bool_, [True, True, False, True])
    values, there = gold_targets(pa.chunked_array([[1.5, None]], pa.float64()), SCORE)
    assert (values.tolist(), values.dtype, there.tolist()) == ([[1.5], [0.0]], np.float32, [True, False])


def test_probabilities_sum_to_one_and_the_label_has_the_largest():
    found = list(answers(make_student(), pa.table({"text": TEXTS})))
    assert len(found) == len(TEXTS)
    for answer in found:
        assert list(answer) == ["label", "probabilities"]
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=2e-6)
        assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert json.loads(json.dumps(found)) == found


def test_several_labels_are_those_above_one_half():
    for answer in answers(make_student(SEVERAL), pa.table({"text": TEXTS})):
        assert answer["labels"] == [name for name, share in answer["probabilities"].items() if share > 0.5]
        assert all(0 <= share <= 1 for share in answer["probabilities"].values())


def test_a_score_is_the_students_own():
    student = make_student(SCORE)
    found = [answer["score"] for answer in answers(student, pa.table({"text": TEXTS}))]
    np.testing.assert_allclose(found, student.logits(pa.table({"text": TEXTS}))[:, 0], atol=1e-6)


def test_large_logits_give_shares_all_the_same():
    student = make_student()
    for each in student.model.output.parameters():
        each.data *= 1e6
    for answer in answers(student, pa.table({"text": TEXTS})):
        assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_a_text_file_is_read_whatever_the_students_column_is_called(tmp_path):
    (tmp_path / "lines.txt").write_text("good film\n")
    task = Task("text", ("review",), "stars", classes=("1", "2"))
    assert inputs_of(task, Source(tmp_path / "lines.txt")) == Task("text", ("text",), classes=("1", "2"))
    (tmp_path / "rows.csv").write_text("review\ngood film\n")
    assert inputs_of(task, Source(tmp_path / "rows.csv")) == Task("text", ("review",), classes=("1", "2"))


def test_the_command_prints_the_same_figures_and_answers_for_every_row(file, tmp_path):
    student = make_student()
    student.save(tmp_path / "S", {})
    cache = cache_of(tmp_path / "L", TEXTS, student.logits(pa.table({"text": TEXTS})))
    done = stillhouse("evaluate", tmp_path / "S", file.path, "--cache", cache.store.path, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == evaluate(student, file, cache)
    done = stillhouse("predict", tmp_path / "S", file.path)
    assert [json.loads(line) for line in done.stdout.splitlines()] == list(answers(student, pa.table({"text": TEXTS})))
