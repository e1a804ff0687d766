"""Whether probabilities are what they say, and how far one's are from another's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit, log_softmax

from transferset import Task

from ._gold import Targets
from .metrics import Logits

#: Bins of equal width for confidence.
BINS = 15
#: Rows worked on at a time.
_ROWS = 1 << 16
Shares = npt.NDArray[np.float64]


def calibration(logits: Logits, gold: Targets, task: Task) -> dict[str, float]:
    """``ece``, ``brier`` and ``nll`` of B rows of logits, (B, C); nothing for regression.

    The expected calibration error is by how much the confidence (the largest probability) differs from the share of
    right answers, averaged over the rows of 15 bins of equal width, 0 to 1. The Brier score is the squared distance
    between probabilities and truth summed over the classes, 0 to 2: with two classes twice that of the second alone.
    NLL is minus the natural logarithm of the true class's probability. Of several labels each is a question of
    its own with the answers no and yes, and the figures are means over all of them.

    Source: Guo et al. 2017 (arXiv 1706.04599), section 2, with 15 bins; Brier 1950, Monthly Weather Review 78.

    >>> task = Task("text", ("a",), "b", classes=("no", "yes"))
    >>> found = calibration(np.zeros((4, 2), np.float32), np.array([0, 0, 0, 1]), task)
    >>> {name: round(value, 4) for name, value in found.items()}
    {'ece': 0.25, 'brier': 0.5, 'nll': 0.6931}
    """
    if task.target == "regression":
        return {}
    gaps, brier, nll, answers = np.zeros(BINS), 0.0, 0.0, 0
    for rows in _blocks(len(logits)):
        log_shares, wanted = _log_shares(logits[rows], task), gold[rows].astype(np.int64).ravel()
        shares, place = np.exp(log_shares), np.arange(len(wanted))
        confidence, right = shares.max(1), shares.argmax(1) == wanted
        bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        gaps += np.bincount(bins, right - confidence, BINS)
        brier += ((shares**2).sum(1) - 2 * shares[place, wanted] + 1).sum()
        nll -= log_shares[place, wanted].sum()
        answers += len(wanted)
    return {"ece": float(np.abs(gaps).sum()) / answers, "brier": float(brier) / answers, "nll": float(nll) / answers}


def divergence(teacher: Logits, logits: Logits, task: Task) -> dict[str, float]:
    """``kl``, the divergence of B rows of a student's answers from the teacher's, both (B, C), in nats.

    Of several labels it is the mean over all of them, as in ``calibration``; for regression there is none.

    Source: Kullback and Leibler 1951, KL(teacher || student), without temperature.

    >>> task = Task("text", ("a",), "b", classes=("no", "yes"))
    >>> divergence(np.array([[0, 0]], np.float32), np.array([[0, 9]], np.float32), task)["kl"] > 3.8
    True
    """
    if task.target == "regression":
        return {}
    total, answers = 0.0, 0
    for rows in _blocks(len(logits)):
        theirs, ours = (_log_shares(each[rows], task) for each in (teacher, logits))
        total += float((np.exp(theirs) * (theirs - ours)).sum())
        answers += len(ours)
    return {"kl": max(0.0, total) / answers}


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, rows, _ROWS))


def _log_shares(logits: Logits, task: Task) -> Shares:
    """The logarithms of shares that sum to 1: (B, C), or of several labels (B * C, 2), no before yes."""
    exact = logits.astype(np.float64)
    if task.target == "multilabel":
        return np.stack([log_expit(-exact), log_expit(exact)], 2).reshape(-1, 2)
    shares: Shares = log_softmax(exact, axis=1)
    return shares
