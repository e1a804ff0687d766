"""Reliability: the bins are those whose distance from the diagonal is the expected calibration error."""

import numpy as np
import pytest

from students.calibration import BINS, calibration
from students.reliability import reliability
from transferset import Task

TARGETS = {
    "two": ("classification", ("a", "b")),
    "five": ("classification", tuple("abcde")),
    "several": ("multilabel", tuple("abc")),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_the_distance_of_the_bins_is_the_ece(kind):
    target, classes = TARGETS[kind]
    task = Task("text", ("text",), "label", target, classes)
    random = np.random.default_rng(0)
    logits = random.normal(scale=2, size=(500, len(classes))).astype(np.float32)
    gold = random.integers(0, len(classes), 500) if target == "classification" else random.random(logits.shape) < 0.4
    found = reliability(logits, gold, task)
    assert found.answers.sum() == gold.size
    assert len(found.answers) == len(found.confidence) == len(found.right) == BINS
    distance = (np.abs(found.right - found.confidence) * found.answers).sum() / gold.size
    assert distance == pytest.approx(calibration(logits, gold, task)["ece"])


def test_confidence_lies_in_its_bin_and_empty_bins_are_nought():
    task = Task("text", ("text",), "label", classes=("a", "b"))
    logits = np.array([[0, 0], [0, 1], [0, 9], [9, 0]], np.float32)
    found = reliability(logits, np.array([0, 1, 0, 0]), task)
    there = np.flatnonzero(found.answers)
    assert found.answers[there].tolist() == [1, 1, 2]
    assert (np.ceil(found.confidence[there] * BINS) - 1 == there).all()
    assert found.right[there].tolist() == [1, 1, 0.5]
    assert not found.confidence[found.answers == 0].any()
