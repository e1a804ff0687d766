"""How good answers are, measured against gold labels or another's answers.

Every metric is a function of how often each row counts: once for a file as it is, otherwise for its bootstrap
resamples, many of which are measured at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from transferset import Task

from ._gold import Targets

Logits = npt.NDArray[np.float32]
#: What is decided of N rows: class numbers (N,), flags (N, C), or scores (N,).
Decisions = npt.NDArray[Any]
#: (R, N) how often each of N rows counts in each of R resamples.
Weights = npt.NDArray[np.float64]
#: (R,) a figure of each resample.
Values = npt.NDArray[np.float64]
Measure = Callable[[Weights], dict[str, Values]]


def scores(logits: Logits, gold: Targets, task: Task) -> dict[str, float]:
    """The task's metrics of B rows of logits, (B, C), with gold targets as ``gold_targets`` gives them.

    Classification: accuracy, F1 (of the second class where there are two, else the mean over classes), MCC.
    Multi-label: accuracy (all classes of a row right), F1 of all answers together (micro) and its mean over classes
    (macro). Regression: Pearson, Spearman, mean squared error. What would divide by zero, as the F1 of a class that
    is nowhere or a correlation with a constant, is 0.

    >>> task = Task("text", ("a",), "b", classes=("no", "yes"))
    >>> scores(np.array([[2, 1], [0, 3]], np.float32), np.array([0, 0]), task)["accuracy"]
    0.5
    """
    return once(measure_of(decisions(logits, task), gold, task), len(logits))


def main_metric(task: Task) -> str:
    """The metric by which the best epoch is chosen."""
    return "pearson" if task.target == "regression" else "accuracy"


def agreement(logits: Logits, other: Logits, task: Task) -> float:
    """The share of B rows for which two sets of logits, (B, C), decide alike; regression: their correlation."""
    return once(agreement_of(decisions(logits, task), decisions(other, task)), len(logits))["agreement"]


def once(measure: Measure, rows: int) -> dict[str, float]:
    """The figures where each of so many rows counts once."""
    return {name: float(value[0]) for name, value in measure(np.ones((1, rows))).items()}


def decisions(logits: Logits, task: Task) -> Decisions:
    """What logits, (B, C), decide: the class of the largest, flags of those above 0, or for regression the score.

    >>> decisions(np.array([[2, 1], [0, 3]], np.float32), Task("text", ("a",), "b", classes=("no", "yes"))).tolist()
    [0, 1]
    """
    if task.target == "regression":
        return logits[:, 0].astype(np.float64)
    return logits > 0 if task.target == "multilabel" else logits.argmax(1)


def measure_of(decided: Decisions, gold: Targets, task: Task) -> Measure:
    """The metrics that ``scores`` has, as a function of weights, (R, B)."""
    if task.target == "regression":
        return _of_scores(decided, gold[:, 0].astype(np.float64))
    if task.target == "multilabel":
        return _of_flags(decided, gold.astype(np.bool_))
    return _of_classes(decided, gold, len(task.classes))


def agreement_of(decided: Decisions, other: Decisions) -> Measure:
    """What ``agreement`` gives, as a function of weights, (R, B)."""
    if decided.dtype == np.float64:
        correlation = pearson(decided, other)
        return lambda weights: {"agreement": correlation(weights)}
    same = (decided == other).reshape(len(decided), -1).all(1)
    return lambda weights: {"agreement": weights @ same / weights.sum(1)}


def _of_classes(decided: Decisions, gold: Targets, classes: int) -> Measure:
    right = decided == gold

    def measure(weights: Weights) -> dict[str, Values]:
        rows = weights.sum(1)
        hits = _sums(weights * right, gold, classes)
        wanted, given = _sums(weights, gold, classes), _sums(weights, decided, classes)
        f1 = _divided(2 * hits, wanted + given)
        squares = (rows**2 - (given**2).sum(1)) * (rows**2 - (wanted**2).sum(1))
        return {
            "accuracy": hits.sum(1) / rows,
            "f1": f1[:, 1] if classes == 2 else f1.mean(1),
            "mcc": _divided(hits.sum(1) * rows - (wanted * given).sum(1), np.sqrt(squares)),
        }

    return measure


def _of_flags(decided: Decisions, gold: npt.NDArray[np.bool_]) -> Measure:
    right = (decided == gold).all(1)

    def measure(weights: Weights) -> dict[str, Values]:
        hits, both = np.zeros((2, len(weights), gold.shape[1]))
        # A class at a time: all at once would be as many numbers as there are rows and classes.
        for place, (yes, wanted) in enumerate(zip(decided.T, gold.T, strict=True)):
            hits[:, place] = weights @ (yes & wanted)
            both[:, place] = weights @ yes + weights @ wanted
        return {
            "accuracy": weights @ right / weights.sum(1),
            "f1_micro": _divided(2 * hits.sum(1), both.sum(1)),
            "f1_macro": _divided(2 * hits, both).mean(1),
        }

    return measure


def _of_scores(decided: Decisions, gold: npt.NDArray[np.float64]) -> Measure:
    linear, ranked, error = pearson(decided, gold), spearman(decided, gold), (decided - gold) ** 2
    return lambda weights: {
        "pearson": linear(weights),
        "spearman": ranked(weights),
        "mse": weights @ error / weights.sum(1),
    }


def pearson(one: Decisions, other: Decisions) -> Callable[[Weights], Values]:
    """The correlation of two rows of numbers, both (B,), as a function of weights, (R, B); 0 with a constant.

    >>> correlation = pearson(np.array([1.0, 2.0, 9.0]), np.array([5.0, 6.0, 0.0]))
    >>> correlation(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])).round(6).tolist()
    [1.0, -1.0]
    """
    x, y = _centred(one), _centred(other)
    columns = np.stack([x, y, x * x, y * y, x * y], 1)

    def measure(weights: Weights) -> Values:
        rows, (x, y, xx, yy, xy) = weights.sum(1), (weights @ columns).T
        return _correlation(xy - x * y / rows, _spread(x, xx, rows) * _spread(y, yy, rows))

    return measure


def spearman(one: Decisions, other: Decisions) -> Callable[[Weights], Values]:
    """The correlation of the ranks, as ``pearson``; what is equal shares the mean of its ranks."""
    groups = [np.unique(each, return_inverse=True)[1] for each in (one, other)]

    def measure(weights: Weights) -> Values:
        x, y = (_ranks(weights, each) for each in groups)
        weighted = weights * x
        xy, xx = (np.einsum("rb,rb->r", weighted, each) for each in (y, x))
        return _correlation(xy, xx * np.einsum("rb,rb,rb->r", weights, y, y))

    return measure


def _centred(values: Decisions) -> npt.NDArray[np.float64]:
    """Numbers around 0 and of size 1 at most, so that sums of squares lose nothing."""
    scaled = values / max(float(np.abs(values).max(initial=0.0)), 1e-300)
    centred: npt.NDArray[np.float64] = scaled - scaled.mean()
    return centred


def _spread(total: Values, squares: Values, rows: Values) -> Values:
    """Squared distances from the mean; 0 where only rounding is left, with which a correlation would mean nothing."""
    spread = squares - total**2 / rows
    return np.where(spread > np.maximum(1e-24 * rows, 1e-12 * squares), spread, 0.0)


def _correlation(product: Values, spreads: Values) -> Values:
    return np.clip(_divided(product, np.sqrt(spreads)), -1, 1)


def _ranks(weights: Weights, group: npt.NDArray[np.intp]) -> Weights:
    """(R, B) ranks less their mean, of rows whose values stand at such places, (B,), among the distinct ones."""
    counts = _sums(weights, group, int(group.max(initial=-1)) + 1)
    last = counts.cumsum(1)
    ranks: Weights = (last - counts / 2 - last[:, -1:] / 2)[:, group]
    return ranks


def _sums(weights: Weights, group: npt.NDArray[Any], groups: int) -> Weights:
    """(R, groups) the weights of the rows of each group."""
    places = np.arange(len(weights))[:, None] * groups + group
    sums = np.bincount(places.ravel(), weights.ravel(), len(weights) * groups).astype(np.float64, copy=False)
    return sums.reshape(-1, groups)


def _divided(above: Values, below: Values) -> Values:
    """Shares and correlations, 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
