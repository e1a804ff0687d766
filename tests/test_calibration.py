"""Calibration: as counted by hand, as sklearn has it, and the same however the rows are cut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn import metrics as sk

from students import calibration as module
from students.calibration import calibration, divergence
from students.objectives.kl import Kl
from transferset import Task

TWO = Task("text", ("a",), "b", classes=("no", "yes"))
THREE = Task("text", ("a",), "b", classes=("x", "y", "z"))
SEVERAL = Task("text", ("a",), "b", "multilabel", classes=("x", "y", "z"))
REGRESSION = Task("text", ("a",), "b", "regression")


def rows_of(task, rows=200, seed=0):
    random = np.random.default_rng(seed)
    logits, teacher = random.normal(0, 2, (2, rows, task.outputs)).astype(np.float32)
    flags = random.integers(0, 2, (rows, task.outputs)).astype(np.bool_)
    return logits, teacher, flags if task.target == "multilabel" else random.integers(0, task.outputs, rows)


def of_shares(*shares):
    """Logits of two classes whose second has such probabilities."""
    return np.log(np.array([[1 - each, each] for each in shares])).astype(np.float32)


def test_the_calibration_error_counted_by_hand():
    # Four rows in the bin to 0.8, three of them right; one in the bin to 0.6, wrong.
    logits = of_shares(0.75, 0.75, 0.75, 0.25, 0.55)
    found = calibration(logits, np.array([1, 1, 0, 0, 0]), TWO)
    assert found["ece"] == pytest.approx((abs(3 - 4 * 0.75) + 0.55) / 5, abs=1e-6)
    assert found["brier"] == pytest.approx(2 * (3 * 0.25**2 + 0.75**2 + 0.55**2) / 5, abs=1e-6)
    assert found["nll"] == pytest.approx(-(3 * np.log(0.75) + np.log(0.25) + np.log(0.45)) / 5, abs=1e-6)


def test_errors_of_both_signs_in_one_bin_cancel_and_in_two_do_not():
    one_bin = calibration(of_shares(0.75, 0.75), np.array([0, 1]), TWO)["ece"]
    two_bins = calibration(of_shares(0.75, 0.95), np.array([0, 1]), TWO)["ece"]
    assert one_bin == pytest.approx(0.25, abs=1e-6)
    assert two_bins == pytest.approx((0.75 + 0.05) / 2, abs=1e-6)


def by_loop(confidence, right):
    total = 0.0
    for place in range(15):
        inside = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("task", [TWO, THREE])
def test_one_label_is_measured_as_sklearn_does(task):
    logits, _, gold = rows_of(task)
    shares = softmax(logits.astype(np.float64), axis=1)
    found = calibration(logits, gold, task)
    assert found["nll"] == pytest.approx(sk.log_loss(gold, shares))
    assert found["brier"] == pytest.approx(((shares - np.eye(task.outputs)[gold]) ** 2).sum(1).mean())
    assert found["ece"] == pytest.approx(by_loop(shares.max(1), shares.argmax(1) == gold))
    if task is TWO:
        assert found["brier"] == pytest.approx(2 * sk.brier_score_loss(gold, shares[:, 1]))


def test_low_confidence_has_bins_of_its_own():
    task = Task("text", ("a",), "b", classes=tuple(map(str, range(40))))
    logits, _, _ = rows_of(task, 500)
    shares = softmax(logits.astype(np.float64) / 4, axis=1)
    confidence, decided = shares.max(1), shares.argmax(1)
    assert (confidence < 1 / 15).any()
    assert ((confidence > 1 / 15) & (confidence < 2 / 15)).any()
    # Right where confidence is lowest and wrong elsewhere: in one bin these would cancel.
    gold = np.where(confidence < 1 / 15, decided, (decided + 1) % 40)
    expected = by_loop(confidence, decided == gold)
    assert calibration(logits / 4, gold, task)["ece"] == pytest.approx(expected, abs=1e-6)


def test_several_labels_are_questions_of_their_own():
    logits, _, gold = rows_of(SEVERAL)
    shares, wanted = expit(logits.astype(np.float64)).ravel(), gold.ravel()
    found = calibration(logits, gold, SEVERAL)
    assert found["nll"] == pytest.approx(sk.log_loss(wanted, shares))
    assert found["brier"] == pytest.approx(2 * sk.brier_score_loss(wanted, shares))
    assert found["ece"] == pytest.approx(by_loop(np.maximum(shares, 1 - shares), (shares > 0.5) == wanted))


@pytest.mark.parametrize("task", [TWO, THREE, SEVERAL])
def test_the_divergence_is_that_which_students_are_trained_by(task):
    logits, teacher, gold = rows_of(task)
    expected = Kl(temperature=1.0).loss(*map(torch.from_numpy, (logits, teacher, gold, np.ones(len(gold), np.bool_))))
    assert divergence(teacher, logits, task)["kl"] == pytest.approx(expected.item(), rel=1e-5)
    assert divergence(teacher, teacher, task) == {"kl": 0.0}


@pytest.mark.parametrize("task", [TWO, THREE, SEVERAL])
def test_a_class_that_is_certain_gives_finite_figures_without_a_warning(task):
    logits, teacher, gold = rows_of(task)
    found = calibration(logits * 1e4, gold, task) | divergence(teacher * 1e4, logits * 1e4, task)
    assert all(np.isfinite(value) and type(value) is float for value in found.values())
    right = np.where(gold, 1e4, -1e4) if task is SEVERAL else np.eye(task.outputs)[gold] * 1e4
    assert calibration(right.astype(np.float32), gold, task) == {"ece": 0.0, "brier": 0.0, "nll": 0.0}


def test_a_score_has_no_probabilities():
    logits, teacher, _ = rows_of(REGRESSION)
    assert calibration(logits, logits, REGRESSION) == {}
    assert divergence(teacher, logits, REGRESSION) == {}


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([TWO, THREE, SEVERAL]), st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_neither_the_order_of_rows_nor_how_many_are_worked_on_at_a_time_matters(task, rows, block, seed):
    logits, teacher, gold = rows_of(task, rows, seed)
    found = calibration(logits, gold, task) | divergence(teacher, logits, task)
    order = np.random.default_rng(seed).permutation(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", block)
        again = calibration(logits[order], gold[order], task) | divergence(teacher[order], logits[order], task)
    assert again == pytest.approx(found, abs=1e-12)
    assert 0 <= found["ece"] <= 1
    assert 0 <= found["brier"] <= 2
