"""A scikit-learn estimator or pipeline as the teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_128

from transferset import Signal, StillhouseError, Task, unknown
from transferset.files import hash_file
from transferset.parameters import check_whole

from ._classes import match_classes
from ._estimator import check_role, final_step, is_multilabel, read_estimator
from ._frame import Framer, framer
from ._said import said
from .teacher import Answers, Description, Request

Numbers = npt.NDArray[np.float64]
_METHODS = {"log-probabilities": "predict_proba", "decision": "decision_function"}
_FEWEST_ROWS = 512


@dataclass(frozen=True)
class Sklearn:
    """A fitted estimator or pipeline: a classifier, a multi-label one or a regressor, on features or on texts.

    ``log-probabilities`` are log p of each class, of a multi-label estimator log p - log(1 - p). ``decision`` is what
    ``decision_function`` gives, of two classes -d/2 and d/2. A regressor gives its prediction. Probabilities below
    ``floor`` count as ``floor`` (of C classes at most 0.1 / C): a forest of n trees says 0 of all that is rarer than
    1 in n, and where log p is learned by least squares a lower floor spends the student on the size of those zeros.
    In a trial on Letter a student was best with a floor between 0.003 and 0.001.

    An estimator that was fitted on a data frame gets one with the same columns, any other gets texts, or features in
    the order of the task; a missing value is NaN. Classes are matched by name, numbers by value; a multi-label
    estimator that knows its labels only by number must have them in the order of the task.

    >>> import tempfile, joblib
    >>> from sklearn.linear_model import LogisticRegression
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = f"{folder}/model.joblib"
    ...     _ = joblib.dump(LogisticRegression().fit([[0], [1], [2], [3]], ["no", "no", "yes", "yes"]), file)
    ...     teacher = Sklearn(file, trust_pickle=True).load(Request(Task("features", ("x",))))
    >>> teacher.description.classes, teacher.answer(pa.table({"x": [0.0, 3.0]})).signals["logits"].argmax(1)
    (('no', 'yes'), array([0, 1]))

    Raises:
        StillhouseError: an unknown output, a floor that is not above 0 and below 0.5, no rows in a batch.

    Source: none.
    """

    gives: ClassVar[tuple[Signal, ...]] = ("logits",)

    file: Annotated[str, "a .skops file, or a pickle or joblib file that is trusted"]
    output: Annotated[str, "log-probabilities or decision"] = "log-probabilities"
    floor: Annotated[float, "least probability of a class, above 0 and below 0.5"] = 1e-3
    trust_pickle: Annotated[bool, "read a pickle, or any type from a .skops file: both may run code"] = False
    batch_rows: Annotated[int, "most rows that the estimator is given at once"] = 262_144

    def __post_init__(self) -> None:
        if self.output not in _METHODS:
            raise unknown("sklearn: output", self.output, _METHODS)
        if not 0 < self.floor < 0.5:
            raise StillhouseError(f"sklearn: floor must be above 0 and below 0.5, got {self.floor}")
        check_whole("sklearn: batch_rows", self.batch_rows, 1)

    def load(self, request: Request) -> Estimator:
        """The estimator, tried on two rows of the sample if there is one.

        Raises:
            StillhouseError: a signal other than logits; a file, an estimator, classes or columns that do not fit.
        """
        import sklearn

        if request.signals != ("logits",):
            raise StillhouseError(
                f"{self.file}: signals of an estimator must be logits alone, got {', '.join(request.signals)}"
            )
        estimator, fitted_with = read_estimator(Path(self.file), self.trust_pickle)
        check_role(self.file, estimator, request.task)
        classes = _classes(self.file, estimator, request.task)
        floor = min(self.floor, 0.1 / max(1, len(classes)))
        made_with = {"scikit-learn": sklearn.__version__, "estimator": type(final_step(estimator)).__name__}
        if fitted_with:
            made_with["fitted_with"] = fitted_with
        loaded = Estimator(
            self.file,
            _method(self.file, estimator, request.task, self.output),
            framer(self.file, estimator, request.task),
            _reading(self.file, estimator, request.task, self.output, floor),
            _threads(estimator),
            Description(
                identity=_identity(self, request.task, floor),
                classes=classes,
                widths={"logits": len(classes) or 1},
                made_with=made_with,
                chunk_rows=self.batch_rows,
            ),
        )
        if request.sample is not None and len(request.sample):
            loaded.check(request.task, estimator, request.sample.slice(0, 2))
        return loaded


@dataclass(frozen=True)
class Estimator:
    """A loaded estimator.

    Attributes:
        where: what errors call it.
        method: asks it: rows in its form to its own answer.
        frame: brings rows into its form.
        read: its own answer to (B, C) numbers.
        threads: how many it would use; rows are divided among them.
        description: what it is.
    """

    where: str
    method: Callable[[Any], Any]
    frame: Framer
    read: Callable[[Any], Numbers]
    threads: int
    description: Description

    def answer(self, rows: pa.Table) -> Answers:
        """Logits (B, C) of a table of the task's inputs.

        Raises:
            StillhouseError: the estimator fails on the rows.
        """
        given = self.frame(rows)
        # A forest of several jobs adds up its trees in the order in which they are done, which is never the same.
        # So each thread asks all trees about rows of its own.
        blocks = max(1, min(self.threads, len(rows) // _FEWEST_ROWS))
        bounds = [len(rows) * place // blocks for place in range(blocks + 1)]
        parts = [given[first:last] for first, last in pairwise(bounds)]
        if blocks == 1:
            return Answers({"logits": self._asked(parts[0])})
        with ThreadPoolExecutor(blocks) as pool:
            return Answers({"logits": np.concatenate(list(pool.map(self._asked, parts)))})

    def kept(self) -> Mapping[str, bytes]:
        """An estimator has nothing for students."""
        return {}

    def check(self, task: Task, estimator: Any, rows: pa.Table) -> None:
        """Raises StillhouseError unless what it says of some rows fits the task."""
        got, wanted = self.answer(rows).signals["logits"].shape, (len(rows), self.description.widths["logits"])
        if got != wanted:
            raise StillhouseError(f"{self.where}: must give logits of shape {wanted} for {len(rows)} rows, got {got}")
        if task.target == "regression":
            return
        several = np.ndim(estimator.predict(self.frame(rows))) == 2
        if several != (task.target == "multilabel"):
            given = "several labels a row" if several else "one class a row"
            raise StillhouseError(f"{self.where}: must suit a {task.target} task, got an estimator of {given}")

    def _asked(self, given: Any) -> npt.NDArray[np.float32]:
        from joblib import parallel_config

        try:
            with parallel_config(backend="sequential"):
                answer = self.method(given)
        except Exception as error:
            raise StillhouseError(f"{self.where}: must take rows like those of the task, got {said(error)}") from error
        with np.errstate(over="ignore"):  # the engine refuses what is infinite
            return self.read(answer).astype(np.float32)


def _identity(teacher: Sklearn, task: Task, floor: float) -> dict[str, Any]:
    digest = xxh3_128()
    hash_file(digest, Path(teacher.file))
    output = "prediction" if task.target == "regression" else teacher.output
    return {
        "teacher": digest.hexdigest(),
        "output": output,
        "floor": floor if output == "log-probabilities" else None,
    }


def _classes(where: str, estimator: Any, task: Task) -> tuple[str, ...]:
    if task.target == "regression":
        return ()
    own = list(estimator.classes_)
    if task.target == "classification":
        return match_classes(where, own, task.classes)
    if isinstance(estimator.classes_, list) or not all(isinstance(each, str) for each in own):
        own = list(range(len(own)))
        if len(own) == len(task.classes):
            return task.classes
    return match_classes(where, own, task.classes)


def _method(where: str, estimator: Any, task: Task, output: str) -> Callable[[Any], Any]:
    method = "predict" if task.target == "regression" else _METHODS[output]
    found: Callable[[Any], Any] | None = getattr(estimator, method, None)
    if found is not None:
        return found
    other = next((each for each, its in _METHODS.items() if each != output and hasattr(estimator, its)), None)
    advice = f": use output {other}" if other else ""
    raise StillhouseError(
        f"{where}: must have {method} for {output}, got {type(final_step(estimator)).__name__} without it{advice}"
    )


def _threads(estimator: Any) -> int:
    """As many as the estimator or a part of it was told to use."""
    from joblib import effective_n_jobs

    told = estimator.get_params() if hasattr(estimator, "get_params") else {}
    jobs = [value for name, value in told.items() if name.split("__")[-1] == "n_jobs" and isinstance(value, int)]
    return max([1, *(int(effective_n_jobs(each)) for each in jobs if each)])


def _reading(where: str, estimator: Any, task: Task, output: str, floor: float) -> Callable[[Any], Numbers]:
    if task.target == "regression":
        return _scores
    if output == "decision":
        _check_one_against_rest(where, estimator)
        return partial(_decisions, several=task.target == "multilabel")
    if task.target == "classification":
        return partial(_log_probabilities, floor=floor)
    if is_multilabel(estimator) and isinstance(estimator.classes_, list):
        ones = [_place_of_one(where, each) for each in estimator.classes_]
        return partial(_log_odds, ones=ones, floor=floor)
    return partial(_log_odds, ones=None, floor=floor)


def _check_one_against_rest(where: str, estimator: Any) -> None:
    shape = getattr(final_step(estimator), "decision_function_shape", None)
    if shape == "ovo" and len(estimator.classes_) > 2:
        raise StillhouseError(f"{where}: decision_function_shape must be 'ovr', got 'ovo', which has no class by class")


def _place_of_one(where: str, classes: Any) -> int | None:
    """The column of a label that is there; None where it never was."""
    values = [float(each) if not isinstance(each, str) else -1.0 for each in classes]
    if not set(values) <= {0.0, 1.0}:
        raise StillhouseError(f"{where}: each label must be 0 or 1 in a multi-label task, got {values}")
    return values.index(1.0) if 1.0 in values else None


def _scores(answer: Any) -> Numbers:
    scores = np.asarray(answer, np.float64)
    return scores[:, None] if scores.ndim == 1 else scores


def _decisions(answer: Any, several: bool) -> Numbers:
    """(B, C); of two classes there is one number, whose sigmoid is the softmax of its halves."""
    decided = np.asarray(answer, np.float64)
    if decided.ndim == 2:
        return decided
    return decided[:, None] if several else np.stack([-decided / 2, decided / 2], 1)


def _log_probabilities(answer: Any, floor: float) -> Numbers:
    probabilities = np.maximum(np.asarray(answer, np.float64), floor)
    probabilities /= probabilities.sum(1, keepdims=True)
    return np.log(probabilities, out=probabilities)


def _log_odds(answer: Any, ones: list[int | None] | None, floor: float) -> Numbers:
    """(B, C) log p - log(1 - p) of (B, C) probabilities, or of those of 0 and 1 for each of C labels: C arrays."""
    if ones is not None and isinstance(answer, list):
        columns = [
            np.zeros(len(each)) if place is None else each[:, place] for each, place in zip(answer, ones, strict=True)
        ]
        answer = np.stack(columns, 1)
    chances: Numbers = np.clip(np.asarray(answer, np.float64), floor, 1 - floor)
    return np.log(chances) - np.log1p(-chances)
