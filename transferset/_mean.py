"""The mean of what several teachers say of the same rows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Literal

import numpy as np
import numpy.typing as npt

from ._signals import Matrix
from .task import Target

Mean = Literal["logits", "probabilities"]
Doubles = npt.NDArray[np.float64]


def mean_logits(logits: Iterable[Matrix], weights: Iterable[float], mean: Mean, target: Target) -> Matrix:
    """The weighted mean, (B, C), of several teachers' logits, (B, C) each; ``weights`` sum to 1.

    Of ``probabilities`` it is the logarithm of the mean softmax, or for several labels the logit of the mean sigmoid;
    scores are averaged as they are.

    >>> two = [np.array([[0.0, 4.0]], np.float32), np.array([[0.0, -2.0]], np.float32)]
    >>> mean_logits(two, [0.5, 0.5], "logits", "classification").tolist()
    [[0.0, 1.0]]
    >>> np.exp(mean_logits(two, [0.5, 0.5], "probabilities", "classification")).astype(float).round(3).tolist()
    [[0.449, 0.551]]
    """
    pairs = ((each.astype(np.float64), weight) for each, weight in zip(logits, weights, strict=True))
    if mean == "logits" or target == "regression":
        scores: Doubles = reduce(np.add, (weight * each for each, weight in pairs))
        return scores.astype(np.float32)
    total: Doubles = reduce(np.logaddexp, (np.log(weight) + _log_probabilities(each, target) for each, weight in pairs))
    return (total[0] - total[1] if target == "multilabel" else total).astype(np.float32)


def _log_probabilities(logits: Doubles, target: Target) -> Doubles:
    """Of classes, (B, C); of several labels those of yes and of no, (2, B, C)."""
    if target == "multilabel":
        return -np.logaddexp(0.0, np.stack([-logits, logits]))
    found: Doubles = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found
