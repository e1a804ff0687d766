"""Precisions: those that stay close to float32 pass, the fastest of them is taken, and the figures are kept."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from counting_teacher import TASK, TEXTS, transfer_set

import label._loaded
import label._precision
from label import label as label_rows
from label._precision import LEAST_AGREEMENT, MOST_DIFFERENCE, Fidelity, compare, settle
from label.huggingface import Huggingface
from label.teacher import Answers, Request
from transferset import StillhouseError, Store, Task

SCORE = Task("text", ("text",), "label", "regression")
TOPICS = Task("text", ("text",), "label", "multilabel", classes=("a", "b", "c"))


def matrix(*rows):
    return np.array(rows, np.float32)


# Comparing.


@pytest.mark.parametrize(("task", "agreement"), [(TASK, 1.0), (TOPICS, 1.0), (SCORE, None)])
def test_equal_signals_pass(task, agreement):
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    both = compare({"logits": (logits, logits), "embedding": (logits, logits)}, task, 2.0)
    assert both == Fidelity(50, 2.0, agreement, 0.0, pytest.approx(1.0))
    assert compare({"logits": (logits, logits)}, task, 2.0) == Fidelity(50, 2.0, agreement, 0.0, None)
    vectors = compare({"hidden": (logits, logits)}, task, 2.0)
    assert vectors == Fidelity(50, 2.0, None, None, pytest.approx(1.0))
    assert both.passed
    assert vectors.passed


def test_of_a_classification_the_largest_logit_is_the_decision():
    given, true = matrix([1, 2], [3, 1], [0, 5], [2, 1]), matrix([1, 2], [1, 3], [0, 5], [2, 1])
    found = compare({"logits": (given, true)}, TASK, 1.0)
    assert found.agreement == 0.75
    assert found.difference == 0.5
    assert not found.passed


def test_of_several_labels_all_signs_are_the_decision():
    given = matrix([1, -1, 1], [1, -1, 1], [-0.01, 1, 1], [2, -2, 0.5])
    true = matrix([1, -1, 1], [2, -3, 4], [0.01, 1, 1], [2, -2, -0.5])
    assert compare({"logits": (given, true)}, TOPICS, 1.0).agreement == 0.5
    # As classes the third and the fourth would be decided alike.
    assert compare({"logits": (given, true)}, TASK, 1.0).agreement > 0.5


def test_of_a_score_the_difference_alone_counts():
    true = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    assert compare({"logits": (true + np.float32(0.04), true)}, SCORE, 1.0).passed
    far = compare({"logits": (true + np.float32(0.06), true)}, SCORE, 1.0)
    assert (far.agreement, far.difference, far.passed) == (None, pytest.approx(0.06), False)


def test_of_vectors_the_direction_counts_and_the_worst_signal_decides():
    random = np.random.default_rng(1)
    true = random.normal(size=(100, 32)).astype(np.float32)
    noisy = true + random.normal(size=true.shape).astype(np.float32)
    assert compare({"embedding": (3 * true, true)}, TASK, 1.0).cosine == pytest.approx(1.0)
    found = compare({"embedding": (true, true), "hidden": (noisy, true)}, TASK, 1.0)
    assert found.cosine == pytest.approx(1 / np.sqrt(2), abs=0.02)
    assert not found.passed
    assert compare({"hidden": (0 * true, true)}, TASK, 1.0).cosine == 0.0


@pytest.mark.parametrize(
    ("agreement", "difference", "cosine", "passed"),
    [
        (LEAST_AGREEMENT, MOST_DIFFERENCE, 0.999, True),
        (None, MOST_DIFFERENCE, None, True),
        (None, None, 0.99, False),
        (0.994, 0.0, 1.0, False),
        (1.0, 0.051, 1.0, False),
        (1.0, 0.0, 0.998, False),
        (np.nan, 0.0, 1.0, False),
        (1.0, np.nan, 1.0, False),
        (1.0, 0.0, np.nan, False),
    ],
)
def test_all_three_limits_must_hold(agreement, difference, cosine, passed):
    assert Fidelity(512, 2.0, agreement, difference, cosine).passed is passed


# Choosing.


class Asked:
    """Answers with one logit a text after some time; ``off`` is added, in any precision but float32."""

    def __init__(self, seconds, off=0.0):
        self.seconds, self.off, self.rows = seconds, off, 0

    def answer(self, rows):
        self.rows += len(rows)
        time.sleep(self.seconds)
        lengths = np.array([len(text) for text in rows["text"].to_pylist()], np.float32)[:, None]
        return Answers({"logits": np.hstack([lengths, 7.4 - lengths]) + np.float32(self.off)})


class Precisions:
    """What is made in each precision, and which were."""

    def __init__(self, **kinds):
        self.kinds, self.made = kinds, []

    def __call__(self, precision):
        self.made.append(precision)
        found = self.kinds[precision]
        if isinstance(found, Exception):
            raise found
        return found


def request(rows=10**9, sample=300):
    texts = [TEXTS[n % 40] for n in range(sample)]
    return Request(TASK, sample=pa.table({"text": pa.array(texts, pa.string())}), rows=rows)


def chosen(make, wanted="auto", candidates=("bfloat16", "onnx", "int8"), is_long=True, **options):
    _, precision, made_with = settle("tiny", make, wanted, candidates, request(**options), 1, is_long)
    return precision, made_with


def test_auto_takes_the_fastest_that_passes():
    make = Precisions(float32=Asked(0.03), bfloat16=Asked(0.015), onnx=Asked(0.005), int8=Asked(0.001, off=1.0))
    precision, made_with = chosen(make)
    assert precision == "onnx"
    assert list(made_with["fidelity"]) == ["bfloat16", "onnx", "int8"]
    assert [each["passed"] for each in made_with["fidelity"].values()] == [True, True, False]
    assert made_with["fidelity"]["int8"]["difference"] == pytest.approx(1.0)
    assert made_with["fidelity"]["onnx"]["speed"] > made_with["fidelity"]["bfloat16"]["speed"] > 1
    lines = made_with["precision"]
    assert lines[0].startswith("float32: ")
    assert "int8: " in lines[3]
    assert ": refused, decisions must agree on 99.5 %" in lines[3]
    assert lines[-1] == "chosen: onnx"


def test_auto_stays_with_float32_where_nothing_is_faster():
    make = Precisions(float32=Asked(0.001), bfloat16=Asked(0.02))
    precision, made_with = chosen(make, candidates=("bfloat16",))
    assert precision == "float32"
    assert made_with["fidelity"]["bfloat16"]["passed"]


def test_auto_passes_over_what_cannot_be_made_and_says_why():
    make = Precisions(float32=Asked(0.002), onnx=StillhouseError("onnx: must export, got a loop"))
    precision, made_with = chosen(make, candidates=("onnx",))
    assert precision == "float32"
    assert "onnx: cannot be used, onnx: must export, got a loop" in made_with["precision"]


def test_auto_does_not_make_a_slow_one_for_little_work():
    make = Precisions(float32=Asked(0.001), bfloat16=Asked(0.0005))
    precision, made_with = chosen(make, is_long=False)
    assert set(make.made) == {"float32", "bfloat16"}
    assert sum("not tried, the work is too short to be worth it" in each for each in made_with["precision"]) == 2
    assert precision in ("float32", "bfloat16")


def test_a_precision_that_is_asked_for_and_fails_is_refused_with_its_figures():
    make = Precisions(float32=Asked(0.001), int8=Asked(0.001, off=1.0))
    says = (
        r"tiny: int8 must be close to float32 \(decisions .*\), got .* on 300 texts, decisions agree on 100.00 %, mean"
    )
    with pytest.raises(StillhouseError, match=rf"{says} .logit difference. 1\.0000") as error:
        chosen(make, "int8")
    assert "\n" not in str(error.value)


def test_a_precision_that_is_asked_for_and_passes_is_taken_however_slow():
    precision, made_with = chosen(Precisions(float32=Asked(0.001), onnx=Asked(0.01)), "onnx", rows=10)
    assert precision == "onnx"
    assert made_with["fidelity"]["onnx"]["passed"]


def test_a_precision_that_is_asked_for_and_cannot_be_made_is_its_own_error():
    make = Precisions(float32=Asked(0.001), onnx=StillhouseError("onnx: must be installed"))
    with pytest.raises(StillhouseError, match=r"^onnx: must be installed$"):
        chosen(make, "onnx")


def test_float32_needs_no_comparison():
    make = Precisions(float32=Asked(0.001))
    assert chosen(make, "float32") == ("float32", {})
    assert make.kinds["float32"].rows == 0


@pytest.mark.parametrize("sample", [None, pa.table({"text": pa.array([], pa.string())})])
def test_without_a_sample_what_is_asked_for_is_taken(sample):
    make = Precisions(float32=Asked(0.001), int8=Asked(0.001, off=1.0))
    for wanted, taken in (("int8", "int8"), ("auto", "float32")):
        given = Request(TASK, sample=sample, rows=10)
        assert settle("tiny", make, wanted, ("int8",), given, 1)[1:] == (taken, {})


def test_the_sample_is_asked_about_until_time_is_up(monkeypatch):
    monkeypatch.setattr(label._precision, "_SAMPLE_SECONDS", 0.05)
    monkeypatch.setattr(label._precision, "_SLICE_ROWS", 10)
    make = Precisions(float32=Asked(0.02), onnx=Asked(0.001))
    _, made_with = chosen(make, "onnx")
    assert 10 <= made_with["fidelity"]["onnx"]["texts"] < 100


# In a teacher.


def test_the_figures_stay_with_the_cache_and_a_second_run_does_not_ask_again(tmp_path, tiny_teacher, monkeypatch):
    monkeypatch.setattr(label._loaded, "_candidates", lambda on_gpu: ["bfloat16"])
    transfer = transfer_set(tmp_path, TEXTS)
    done = label_rows(transfer, Huggingface(str(tiny_teacher)), tmp_path / "L")
    made_with = Store.open(tmp_path / "L").made_with
    figures = made_with["fidelity"]["bfloat16"]
    assert (figures["texts"], figures["cosine"]) == (40, None)
    assert 0 <= figures["agreement"] <= 1
    assert figures["passed"] or done.teacher.identity["dtype"] == "float32"
    assert made_with["precision"][-1] == f"chosen: {done.teacher.identity['dtype']}"
    again = label_rows(transfer, Huggingface(str(tiny_teacher)), tmp_path / "L")
    assert again.teacher.identity == done.teacher.identity
    assert "fidelity" not in again.teacher.made_with
    assert Store.open(tmp_path / "L").made_with == made_with


def test_a_precision_that_a_teacher_cannot_bear_leaves_no_cache(tmp_path, tiny_teacher, monkeypatch):
    monkeypatch.setattr(label._precision, "MOST_DIFFERENCE", 0.0)
    with pytest.raises(StillhouseError, match="bfloat16 must be close to float32"):
        label_rows(transfer_set(tmp_path, TEXTS), Huggingface(str(tiny_teacher), dtype="bfloat16"), tmp_path / "L")
    assert not (tmp_path / "L" / "_manifest" / "about.json").exists()
    # And with another precision it is made there.
    label_rows(transfer_set(tmp_path, TEXTS), Huggingface(str(tiny_teacher), dtype="float32"), tmp_path / "L")
