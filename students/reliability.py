"""How often answers are right that are so sure: what a reliability diagram draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from transferset import Task

from ._gold import Targets
from .calibration import BINS
from .metrics import Logits


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width for confidence, (BINS,) each.

    Attributes:
        answers: how many are in each.
        confidence: their mean confidence, 0 to 1; 0 of an empty bin.
        right: the share of them that is right, 0 to 1; 0 of an empty bin.
    """

    answers: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]


def reliability(logits: Logits, gold: Targets, task: Task) -> Reliability:
    """The answers of B rows of logits, (B, C), by how sure they are; of several labels each is one, no or yes.

    The mean of |right - confidence| over the answers is the ``ece`` of ``calibration``. For regression there is none.

    Source: Niculescu-Mizil and Caruana 2005 (ICML); the bins are those of Guo et al. 2017 (arXiv 1706.04599).

    >>> task = Task("text", ("a",), "b", classes=("no", "yes"))
    >>> found = reliability(np.zeros((4, 2), np.float32), np.array([0, 0, 0, 1]), task)
    >>> place = found.answers.argmax()
    >>> int(found.answers[place]), float(found.confidence[place]), float(found.right[place])
    (4, 0.5, 0.75)
    """
    exact = logits.astype(np.float64)
    if task.target == "multilabel":
        yes = expit(exact).ravel()
        confidence, right = np.maximum(yes, 1 - yes), (yes > 0.5) == gold.ravel()
    else:
        shares = softmax(exact, axis=1)
        confidence, right = shares.max(1), shares.argmax(1) == gold
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    answers = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, each, BINS) for each in (confidence, right.astype(np.float64))]
    return Reliability(answers, *(each / np.maximum(answers, 1) for each in sums))
