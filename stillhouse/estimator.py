"""Students as estimators of scikit-learn: for pipelines, searches, and what else holds estimators.

``fit`` runs the stages in a temporary directory: it augments the rows, has the teacher label them, trains a student on
the result, and keeps the student alone. Without a teacher the student learns the labels that ``fit`` is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d, validate_data

from augment import Augmenter, Recipe, augment_file
from label import Teacher, label, load_teacher
from students import (
    Architecture,
    Objective,
    Reading,
    Student,
    Training,
    architectures,
    load_architecture,
    load_objective,
    objectives,
    train,
)
from students.trainer import check_fit
from transferset import (
    LogitCache,
    Source,
    StillhouseError,
    Task,
    TransferSet,
    feature_types,
    keys_from_arrow,
    read_rows,
    unknown,
)
from transferset.in_memory import InMemory, is_table
from transferset.parameters import build, parameters
from transferset.tables import FeatureTypes
from transferset.task import Kind, Target

from ._estimator_rows import categories_of, class_names, feature_table, text_table


class _StudentEstimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: parameters, training, and what is pickled."""

    _target: ClassVar[Target]

    def __init__(
        self,
        student: str = "bilstm",
        *,
        teacher: str | Teacher | None = None,
        recipe: str | Recipe | Sequence[Augmenter] | None = None,
        copies: int | None = None,
        loss: str | None = None,
        epochs: int | None = None,
        settings: Mapping[str, Any] | None = None,
        cache: str | Path | None = None,
        random_state: int = 0,
    ) -> None:
        self.student = student
        self.teacher = teacher
        self.recipe = recipe
        self.copies = copies
        self.loss = loss
        self.epochs = epochs
        self.settings = settings
        self.cache = cache
        self.random_state = random_state

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A fitted estimator with the student in a directory, as ``stillhouse train`` writes it.

        Raises:
            StillhouseError: there is none, or one for another kind of answer.
        """
        student = Student.load(folder)
        config = student.config
        if config.output != "logits" or config.task.target != cls._target:
            got = "embeddings" if config.output != "logits" else config.task.target
            raise StillhouseError(f"{folder}: must be a student for {cls._target}, got one for {got}")
        found = cls(config.student, settings=dict(config.parameters))
        found._keep(student)
        if config.task.kind == "features":
            found.n_features_in_ = len(config.task.inputs)
            found.feature_names_in_ = np.array(config.task.inputs, dtype=object)
        return found

    def _keep(self, student: Student) -> None:
        self.student_ = student

    def _train(self, table: pa.Table, labels: pa.Array | None, classes: tuple[str, ...] = ()) -> Student:
        """A student of the rows; ``labels`` are class names or scores, one a row."""
        architecture, objective, training, reading = self._parts()
        kind: Kind = "features" if self._reads_tables() else "text" if table.num_columns == 1 else "pair"
        inputs = tuple(table.column_names)
        name = None if labels is None else next(each for each in ("label", "label_", "label__") if each not in inputs)
        task = Task(kind, inputs, name, self._target, classes, categories_of(table))
        check_fit(architecture, objective, task)
        # Read as a file is, here, so that what is wrong is said of X.
        source, unlabelled = InMemory(table, "X"), replace(task, label=None)
        rows = pa.Table.from_batches(read_rows(source, unlabelled, _types(source, unlabelled)))
        seed: int = self.random_state
        with TemporaryDirectory(prefix="stillhouse-") as folder:
            out = Path(folder)
            pq.write_table(rows if name is None else rows.append_column(name, labels), out / "X.parquet")
            copies = 0 if self.teacher is None else self.copies
            augment_file(Source(out / "X.parquet"), task, out / "T", self.recipe, copies, seed)
            transfer = TransferSet.open(out / "T")
            cache = self._asked(transfer, Path(self.cache or out / "L"))
            if (
                "vectors" not in (self.settings or {})
                and not (cache.teacher_folder / "embeddings.safetensors").exists()
            ):
                reading = replace(reading, vectors="random")
            return train(transfer, cache, architecture, objective, out / "S", training, reading, seed)[0]

    def _asked(self, transfer: TransferSet, folder: Path) -> LogitCache:
        """What the teacher says of all rows; without a teacher zeros, which no loss looks at."""
        if self.teacher is not None:
            teacher = load_teacher(self.teacher) if isinstance(self.teacher, str) else self.teacher
            label(transfer, teacher, folder, name=str(self.teacher))
            return LogitCache.open(folder)
        task, outputs = transfer.task, transfer.task.outputs
        about = {"teacher": "none", "inputs": task.kind, "target": task.target, "classes": list(task.classes)}
        cache = LogitCache.create(folder, {**about, "signals": {"logits": outputs}, "storage": "float32"}, {})
        for table in transfer.tables(["key"]):
            keys = keys_from_arrow(table["key"])
            cache.append(keys, {"logits": np.zeros((len(keys), outputs), np.float32)})
        return cache

    def _parts(self) -> tuple[Architecture, Objective, Training, Reading]:
        """What the parameters say of the student, its loss, its training, and how it reads texts."""
        loss = self.loss or ("gold" if self.teacher is None else "mse")
        if self.teacher is None:
            for name, value in (("recipe", self.recipe), ("copies", self.copies), ("cache", self.cache)):
                if value is not None:
                    raise StillhouseError(f"{name}: must come with a teacher, who labels the copies, got none")
            if loss != "gold":
                raise StillhouseError(f"loss: must be gold where there is no teacher, got {loss!r}")
        for what, name, kinds in (("student", self.student, architectures()), ("loss", loss, objectives())):
            if not isinstance(name, str) or name not in kinds:
                raise unknown(what, str(name), kinds)
        given = {} if self.epochs is None else {"epochs": self.epochs}
        given |= dict(self.settings or {})
        homes = {
            "student": architectures()[self.student],
            "loss": objectives()[loss],
            "training": Training,
            "reading": Reading,
        }
        own = {home: [each.name for each in parameters(cls)] for home, cls in homes.items()}
        for name in given:
            if not any(name in names for names in own.values()):
                raise unknown("settings", str(name), sorted({each for names in own.values() for each in names}))
        # A search draws its values from arrays.
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        mine = {home: {name: plain[name] for name in names if name in plain} for home, names in own.items()}
        return (
            load_architecture(self.student, mine["student"]),
            load_objective(loss, mine["loss"]),
            build(Training, mine["training"], "settings"),
            build(Reading, mine["reading"], "settings"),
        )

    def _reads_tables(self) -> bool:
        kind = architectures().get(self.student) if isinstance(self.student, str) else None
        return kind is not None and "features" in kind.kinds

    def _table(self, X: Any, reset: bool) -> pa.Table:  # noqa: N803
        """The rows as a table; of features, scikit-learn checks number and names."""
        if not self._reads_tables():
            return text_table(X)
        checked = validate_data(
            self, X, reset=reset, skip_check_array=is_table(X), dtype="numeric", ensure_all_finite="allow-nan"
        )
        return feature_table(checked)

    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """(B, C) logits or scores."""
        check_is_fitted(self, "student_")
        student, table = self.student_, self._table(X, reset=False)
        task = replace(student.task, label=None)
        if table.num_columns != len(task.inputs):
            raise StillhouseError(f"X: must have {len(task.inputs)} columns, as in fit, got {table.num_columns}")
        source = InMemory(table.rename_columns(list(task.inputs)), "X")
        found = [student.outputs(batch) for batch in read_rows(source, task, student.encoding.types)]
        return np.concatenate([np.zeros((0, student.config.width)), *found])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tables = self._reads_tables()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tables
        tags.input_tags.string = tags.input_tags.one_d_array = not tables
        tags.target_tags.required = self.teacher is None
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "student_" in state:
            state["student_"] = _files_of(state["student_"])
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        files = state.get("student_")
        super().__setstate__({**state, "student_": _student_of(files)} if files is not None else state)


class StudentClassifier(ClassifierMixin, _StudentEstimator):  # type: ignore[misc]
    """A student that tells classes apart, as an estimator.

    ``X`` are texts (a list, a column, an array), pairs of texts (two columns), or for a student of features (``mlp``)
    an array of numbers or a data frame, which may have categories and missing values. ``y`` are classes of any type
    that scikit-learn takes. With a teacher ``y`` may be None: the classes are the teacher's then.

    Args:
        student: the kind, as ``--student`` of ``stillhouse train``.
        teacher: as ``--teacher`` of ``stillhouse label``, or what ``label.load_teacher`` gives; None learns ``y``.
        recipe: what copies for the teacher are made with; ``tang2019`` for texts, ``munge`` for features where None.
        copies: the most copies of a row; the recipe's number where None.
        loss: as ``--loss``; ``mse`` with a teacher and ``gold`` without where None.
        epochs: as many as ``--epochs`` has by default where None.
        settings: any other option of ``stillhouse train`` by its name: ``{"width": 64, "temperature": 3.0}``. Words
            start from the teacher's vectors where it has any.
        cache: a directory that keeps what the teacher said from one ``fit`` to the next; searches should have one.
        random_state: the seed of copies, weights and order, a whole number.

    Attributes:
        student_: the trained ``students.Student``; ``student_.save_pretrained(DIR)`` is how to keep it.
        classes_: the classes, in the order of ``predict_proba``.
        n_features_in_, feature_names_in_: of a student of features.

    >>> texts, labels = ["a fine film", "dull from start to end"] * 8, ["pos", "neg"] * 8
    >>> small = {"hidden": 8, "vector_width": 8, "learning_rate": 0.03}
    >>> student = StudentClassifier("bag", epochs=20, settings=small)
    >>> student.fit(texts, labels).predict(["fine", "so dull"]).tolist()
    ['pos', 'neg']
    """

    _target: ClassVar[Target] = "classification"

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Trains the student.

        Raises:
            StillhouseError: a ``ValueError`` of one line, before any work, for what does not fit.
        """
        if y is None:
            _check_taught(self)
            self._keep(self._train(self._table(X, reset=True), None))
            return self
        y = column_or_1d(y, warn=True)
        table = self._table(X, reset=True)
        check_consistent_length(X, y)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        names = class_names(classes)
        self.student_ = self._train(table, pa.array(names).take(pa.array(codes)), names)
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """(B,) classes of B rows."""
        chosen = self._outputs(X).argmax(1)
        found: npt.NDArray[Any] = self.classes_[chosen]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """(B, C) probabilities of the classes, in the order of ``classes_``."""
        found: npt.NDArray[np.float64] = softmax(self._outputs(X), axis=1)
        return found

    def _keep(self, student: Student) -> None:
        super()._keep(student)
        self.classes_ = np.array(student.task.classes)


class StudentRegressor(RegressorMixin, _StudentEstimator):  # type: ignore[misc]
    """A student that gives a score, as an estimator; its parameters are those of ``StudentClassifier``.

    With a teacher it learns the teacher's score. ``y`` is learned as it is: bring it to about unit variance, say with
    scikit-learn's ``TransformedTargetRegressor``.

    >>> numbers = np.linspace(-1, 1, 64)[:, None]
    >>> student = StudentRegressor("mlp", epochs=100, settings={"width": 32, "learning_rate": 0.01})
    >>> student = student.fit(numbers, numbers[:, 0] ** 2)
    >>> student.predict([[0.5], [-0.5]]).round(1).tolist()
    [0.2, 0.2]
    """

    _target: ClassVar[Target] = "regression"

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Trains the student.

        Raises:
            StillhouseError: a ``ValueError`` of one line, before any work, for what does not fit.
        """
        if y is None:
            _check_taught(self)
            self._keep(self._train(self._table(X, reset=True), None))
            return self
        y = column_or_1d(y, dtype=np.float64, warn=True)
        if not np.isfinite(y).all():
            raise StillhouseError("y: must be finite numbers, got NaN or infinity")
        table = self._table(X, reset=True)
        check_consistent_length(X, y)
        self._keep(self._train(table, pa.array(y)))
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """(B,) scores of B rows."""
        return self._outputs(X)[:, 0]


def _types(source: InMemory, task: Task) -> FeatureTypes | None:
    return feature_types(source, task) if task.kind == "features" else None


def _check_taught(estimator: _StudentEstimator) -> None:
    if estimator.teacher is None:
        raise StillhouseError(
            f"{type(estimator).__name__}: requires y to be passed, but the target y is None: give it, or a teacher"
        )


def _files_of(student: Student) -> dict[str, bytes]:
    """The files of a student's directory: a pickle holds these, and no network."""
    with TemporaryDirectory(prefix="stillhouse-") as folder:
        student.save_pretrained(folder)
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


def _student_of(files: Mapping[str, bytes]) -> Student:
    with TemporaryDirectory(prefix="stillhouse-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        return Student.load(folder)
