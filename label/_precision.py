"""In what precision a transformer runs: the fastest that says what it says in float32, as measured on a sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa

from transferset import Matrix, StillhouseError, Task

from ._options import Dtype, Precision
from ._transformer import Transformer
from .teacher import Answers, Request

#: Precisions that take a while to be made ready.
SLOW_TO_MAKE: tuple[Precision, ...] = ("onnx", "int8")
#: A precision passes when its decisions are those of float32 for at least this share of the sample ...
LEAST_AGREEMENT = 0.995
#: ... its logits differ from those of float32 by at most this much on average ...
MOST_DIFFERENCE = 0.05
#: ... and its other vectors point where those of float32 do: the mean cosine.
LEAST_COSINE = 0.999
_LIMITS = (
    f"decisions must agree on {100 * LEAST_AGREEMENT:.1f} %, logits differ by at most {MOST_DIFFERENCE} on average,"
    f" vectors have a cosine of {LEAST_COSINE}"
)
#: The sample is asked about in slices of so many rows, until so many seconds have passed.
_SLICE_ROWS, _SAMPLE_SECONDS = 128, 15.0


@dataclass(frozen=True)
class Fidelity:
    """How a precision compares with float32 on a sample of texts.

    Attributes:
        texts: how many there were.
        speed: texts a second as a multiple of float32.
        agreement: share of texts with the same decision: the largest logit, or in a multi-label task all signs; None
            of a score.
        difference: mean absolute difference of the logits; None without logits.
        cosine: the least mean cosine of the other signals' vectors with those of float32; None without such.
    """

    texts: int
    speed: float
    agreement: float | None
    difference: float | None
    cosine: float | None

    @property
    def passed(self) -> bool:
        """Whether it is close enough to float32 to stand for it."""
        return (
            (self.agreement is None or self.agreement >= LEAST_AGREEMENT)
            and (self.difference is None or self.difference <= MOST_DIFFERENCE)
            and (self.cosine is None or self.cosine >= LEAST_COSINE)
        )

    def __str__(self) -> str:
        """The figures in words.

        >>> str(Fidelity(512, 3.41, 0.998, 0.0062, None))
        '3.4 times float32 on 512 texts, decisions agree on 99.80 %, mean |logit difference| 0.0062'
        """
        words = [f"{self.speed:.1f} times float32 on {self.texts} texts"]
        if self.agreement is not None:
            words.append(f"decisions agree on {100 * self.agreement:.2f} %")
        if self.difference is not None:
            words.append(f"mean |logit difference| {self.difference:.4f}")
        if self.cosine is not None:
            words.append(f"mean cosine {self.cosine:.5f}")
        return ", ".join(words)


def settle(
    name: str,
    make: Callable[[Precision], Transformer],
    wanted: Dtype,
    candidates: Sequence[Precision],
    request: Request,
    workers: int,
    is_long: bool = True,
) -> tuple[Transformer, Precision, dict[str, Any]]:
    """The transformer to use, its precision, and what there is to say about how it was found.

    Args:
        make: gives the transformer in a precision.
        wanted: a precision, or ``auto``: the fastest of ``candidates`` that passes.
        workers: how many threads will ask at once.
        is_long: whether there is work enough for what is slow to make.

    Raises:
        StillhouseError: the wanted precision does not pass.
    """
    sample = request.sample
    if wanted == "float32" or sample is None or not len(sample):
        settled: Precision = "float32" if wanted == "auto" else wanted
        return make(settled), settled, {}
    slices = [sample.slice(first, _SLICE_ROWS) for first in range(0, len(sample), _SLICE_ROWS)]
    exact = make("float32")
    reference = _asked(exact, slices, workers)
    chosen: tuple[Transformer, Precision, float] = (exact, "float32", reference.rate)
    figures, lines = dict[str, Any](), [f"float32: {reference.rate:,.0f} texts a second of a sample"]
    for precision in candidates if wanted == "auto" else (wanted,):
        if wanted == "auto" and precision in SLOW_TO_MAKE and not is_long:
            lines.append(f"{precision}: not tried, the work is too short to be worth it")
            continue
        try:
            transformer = make(precision)
        except StillhouseError as error:
            if wanted != "auto":
                raise
            lines.append(f"{precision}: cannot be used, {error}")
            continue
        found = _asked(transformer, slices, workers)
        rows = min(found.rows, reference.rows)
        pairs = {name: (found.signals[name][:rows], true[:rows]) for name, true in reference.signals.items()}
        fidelity = compare(pairs, request.task, found.rate / reference.rate)
        figures[precision] = {**asdict(fidelity), "passed": fidelity.passed}
        lines.append(f"{precision}: {fidelity}" + ("" if fidelity.passed else f": refused, {_LIMITS}"))
        if wanted != "auto" and not fidelity.passed:
            raise StillhouseError(f"{name}: {precision} must be close to float32 ({_LIMITS}), got {fidelity}")
        if fidelity.passed and (wanted != "auto" or found.rate > chosen[2]):
            chosen = transformer, precision, found.rate
    transformer, precision, _ = chosen
    return transformer, precision, {"precision": [*lines, f"chosen: {precision}"], "fidelity": figures}


def compare(pairs: Mapping[str, tuple[Matrix, Matrix]], task: Task, speed: float) -> Fidelity:
    """How the signals of a precision compare with those of float32, (B, width) both; ``speed`` is noted."""
    cosines = [_cosine(given, true) for name, (given, true) in pairs.items() if name != "logits"]
    rows = len(next(iter(pairs.values()))[1])
    agreement = difference = None
    if "logits" in pairs:
        given, true = pairs["logits"]
        difference = float(np.abs(given - true).mean())
        if task.target == "multilabel":
            agreement = float(((given > 0) == (true > 0)).all(1).mean())
        elif task.target == "classification":
            agreement = float((given.argmax(1) == true.argmax(1)).mean())
    return Fidelity(rows, speed, agreement, difference, float(np.min(cosines)) if cosines else None)


def _cosine(given: Matrix, true: Matrix) -> float:
    """The mean cosine of rows of vectors, (B, width)."""
    lengths = np.linalg.norm(given, axis=1) * np.linalg.norm(true, axis=1)
    return float(((given * true).sum(1) / np.maximum(lengths, 1e-12)).mean())


@dataclass(frozen=True)
class _Asked:
    """What a transformer said of the first rows of a sample, and how many texts a second it took."""

    signals: Mapping[str, Matrix]
    rows: int
    rate: float


def _asked(transformer: Transformer, slices: Sequence[pa.Table], workers: int) -> _Asked:
    """Asks about slices in as many threads as will label, after a first question to warm up."""
    transformer.answer(slices[0].slice(0, 8))
    started = time.monotonic()

    def ask(rows: pa.Table) -> Answers | None:
        return transformer.answer(rows) if time.monotonic() - started < _SAMPLE_SECONDS else None

    with ThreadPoolExecutor(workers) as executor:
        answers = [each for each in takewhile(bool, executor.map(ask, slices)) if each is not None]
    seconds = time.monotonic() - started
    signals = {name: np.concatenate([each.signals[name] for each in answers]) for name in answers[0].signals}
    rows = sum(len(each) for each in slices[: len(answers)])
    return _Asked(signals, rows, rows / seconds)
