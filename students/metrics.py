"""How good logits are, measured against gold labels or another's logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics as sk

from transferset import Task

from ._gold import Targets

Logits = npt.NDArray[np.float32]


def scores(logits: Logits, gold: Targets, task: Task) -> dict[str, float]:
    """The task's metrics of B rows of logits, (B, C), with gold targets as ``gold_targets`` gives them.

    Classification: accuracy, F1 (of the second class where there are two, else the mean over classes), MCC.
    Multi-label: accuracy (all classes of a row right), micro F1. Regression: Pearson, Spearman, mean
    squared error; a correlation with a constant is 0.

    >>> task = Task("text", ("a",), "b", classes=("no", "yes"))
    >>> scores(np.array([[2, 1], [0, 3]], np.float32), np.array([0, 0]), task)["accuracy"]
    0.5
    """
    if task.target == "regression":
        student, true = logits[:, 0].astype(np.float64), gold[:, 0].astype(np.float64)
        # Up to rounding: a correlation of what rounding left would mean nothing.
        constant = any(np.ptp(each) <= 1e-12 * max(1e-300, np.abs(each).max()) for each in (student, true))
        return {
            "pearson": 0.0 if constant else float(stats.pearsonr(student, true).statistic),
            "spearman": 0.0 if constant else float(stats.spearmanr(student, true).statistic),
            "mse": float(np.mean((student - true) ** 2)),
        }
    if task.target == "multilabel":
        chosen = logits > 0
        return {
            "accuracy": float(sk.accuracy_score(gold, chosen)),
            "f1": float(sk.f1_score(gold, chosen, average="micro", zero_division=0.0)),
        }
    chosen = logits.argmax(1)
    two = len(task.classes) == 2
    labels: Sequence[int] = range(len(task.classes))
    f1 = sk.f1_score(
        gold, chosen, labels=None if two else labels, average="binary" if two else "macro", zero_division=0
    )
    return {
        "accuracy": float(sk.accuracy_score(gold, chosen)),
        "f1": float(f1),
        "mcc": float(sk.matthews_corrcoef(gold, chosen)) if len(np.union1d(gold, chosen)) > 1 else 0.0,
    }


def main_metric(task: Task) -> str:
    """The metric by which the best epoch is chosen."""
    return "pearson" if task.target == "regression" else "accuracy"


def agreement(logits: Logits, other: Logits, task: Task) -> float:
    """The share of B rows for which two sets of logits, (B, C), decide alike; regression: their correlation."""
    if task.target == "regression":
        return scores(logits, other, task)["pearson"]
    if task.target == "multilabel":
        return float(((logits > 0) == (other > 0)).all(1).mean())
    return float((logits.argmax(1) == other.argmax(1)).mean())
