"""How figures are called, what they mean, and how they are written."""

from __future__ import annotations

import math

#: What each figure is; those of ``LOWER`` are the better the lower they are.
MEANINGS = {
    "accuracy": "share of rows answered rightly; of several labels, with all of them right",
    "f1": "F1 of the second of two classes, else the mean over classes",
    "mcc": "Matthews correlation, 0 for guessing",
    "f1_micro": "F1 of all answers together",
    "f1_macro": "mean F1 of the classes",
    "pearson": "correlation with the gold score",
    "spearman": "correlation of the ranks with the gold score\u2019s",
    "mse": "mean squared error",
    "cosine": "mean cosine with the teacher\u2019s embedding",
    "agreement": "share of rows answered as the teacher does; of scores, their correlation",
    "kl": "divergence of the probabilities from the teacher\u2019s, in nats",
    "ece": "expected calibration error: how far confidence is from the share of right answers",
    "brier": "squared distance of probabilities from the truth",
    "nll": "negative log-likelihood, in nats",
    "loss": "of the objective, so that students of different losses cannot be compared by it",
}
LOWER = ("mse", "kl", "ece", "brier", "nll", "loss")
_SAID = {"f1": "F1", "mcc": "MCC", "f1_micro": "F1 micro", "f1_macro": "F1 macro", "mse": "MSE"}
_SAID |= {"kl": "KL", "ece": "ECE", "brier": "Brier", "nll": "NLL"}


def said(metric: str) -> str:
    """The name of a figure for people.

    >>> said("ece"), said("accuracy")
    ('ECE', 'accuracy')
    """
    return _SAID.get(metric, metric.replace("_", " "))


def figure(value: float | None) -> str:
    """A figure with three decimals, or as many digits where it is large.

    >>> figure(0.64423), figure(12345.6), figure(None), figure(float("nan"))
    ('0.644', '12,346', '\u2013', '\u2013')
    """
    if value is None or math.isnan(value):
        return "\u2013"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def amount(value: float) -> str:
    """A number of things in three digits.

    >>> amount(9_812_345), amount(712), amount(65_432)
    ('9.81\\xa0M', '712', '65.4\\xa0k')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * 0.9995:
            return f"{_three(value / size)}\u00a0{unit}"
    return f"{value:.0f}"


def megabytes(size: float) -> str:
    """Bytes as megabytes, in three digits.

    >>> megabytes(29_061_204), megabytes(4_321), megabytes(123)
    ('29.1', '0.00432', '0.000123')
    """
    return _three(size / 1e6)


def milliseconds(value: float) -> str:
    """Milliseconds in three digits.

    >>> milliseconds(0.41234), milliseconds(12.345)
    ('0.412', '12.3')
    """
    return _three(value)


def plural(number: int, what: str) -> str:
    """A number of things.

    >>> plural(1, "row"), plural(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _three(value: float) -> str:
    if not value:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-12))
    return f"{value:,.{digits}f}"
