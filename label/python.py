"""A Python function as the teacher."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from xxhash import xxh3_128

from transferset import Matrix, Signal, StillhouseError, Task
from transferset.errors import OccupiedError
from transferset.files import hash_file
from transferset.parameters import check_whole

from ._classes import match_classes
from ._said import said
from .teacher import Answers, Description, Request

#: The file's hash when a module was imported here.
_imported: dict[str, str] = {}


@dataclass(frozen=True)
class Python:
    """A function of a module, which is looked for in the current directory first; ``MODULE:FUNCTION``.

    It takes B rows: a list of texts, of pairs of texts, or of dicts of features (a missing value is None). It gives
    (B, C) numbers as an array, a tensor or lists, (B,) where there is one output, or a dict of them by signal:
    ``logits``, ``embedding``, ``hidden``. It must give the same of a row whatever the rows beside it.

    The order of its classes is its attribute ``classes`` if it has one, else the task's. A cache belongs to the text
    of the module's file, the function's name, and its attribute ``version`` if it has one. What the module imports
    or reads (other modules, weights) is not part of that: set ``version`` anew when such a thing changes.

    >>> import contextlib, pathlib, tempfile
    >>> source = "def score(texts): return [text.count('!') for text in texts]"
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    ...     _ = pathlib.Path("shouts.py").write_text(source)
    ...     teacher = Python("shouts:score").load(Request(Task("text", ("t",), target="regression")))
    >>> teacher.answer(pa.table({"t": ["so so", "yes!!"]})).signals["logits"].tolist()
    [[0.0], [2.0]]

    Raises:
        StillhouseError: not of the form MODULE:FUNCTION, no rows in a batch.

    Source: none.
    """

    gives: ClassVar[tuple[Signal, ...]] = ("logits", "embedding", "hidden")

    function: Annotated[str, "MODULE:FUNCTION"]
    batch_rows: Annotated[int, "most rows that the function is given at once"] = 1024

    def __post_init__(self) -> None:
        module, _, name = self.function.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), name]):
            raise StillhouseError(f"python: function must be of the form MODULE:FUNCTION, got {self.function!r}")
        check_whole("python: batch_rows", self.batch_rows, 1)

    def load(self, request: Request) -> Function:
        """The function, tried on two rows of the sample if there is one.

        Raises:
            StillhouseError: no such module or function, one that fails, classes or widths that do not fit.
        """
        where, folder = f"python:{self.function}", Path.cwd()
        module_name, _, name = self.function.partition(":")
        module, digest = _import(where, module_name, folder)
        function = getattr(module, name, None)
        if not callable(function):
            raise StillhouseError(f"{where}: {name} must be a function of {module.__file__}, got {_kind(function)}")
        classes = _classes(where, function, request)
        call = Call(where, function, str(module.__file__), folder, request.task)
        version = getattr(function, "version", None)
        identity = {"teacher": digest, "function": name, "version": None if version is None else str(version)}
        return Function(
            call, Description(identity, classes, _widths(call, request, classes), chunk_rows=self.batch_rows)
        )


@dataclass(frozen=True)
class Call:
    """How a function is called.

    Attributes:
        where: what errors call it.
        function: takes a list of rows, gives numbers.
        file: its module's.
        folder: where modules are looked for first, also by what it imports only as it runs.
        task: what its rows are.
    """

    where: str
    function: Callable[[list[Any]], Any]
    file: str
    folder: Path
    task: Task

    def signals(self, rows: pa.Table, wanted: Iterable[str]) -> dict[str, Matrix]:
        """What it gives for B rows, (B, width) of each signal.

        Raises:
            StillhouseError: it fails, a signal is missing, or it gives what is not numbers.
        """
        try:
            with _searched_first(self.folder):
                given = self.function(_plain_rows(rows, self.task))
        except (Exception, SystemExit) as error:
            place = _place(error, self.file)
            raise StillhouseError(f"{self.where}: must answer {len(rows)} rows, got {said(error)} ({place})") from error
        wanted = tuple(wanted)
        if not isinstance(given, Mapping):
            if wanted != ("logits",):
                raise StillhouseError(
                    f"{self.where}: must give a dict with {', '.join(wanted)}, got {type(given).__name__}"
                )
            given = {"logits": given}
        for name in wanted:
            if name not in given:
                got = ", ".join(map(str, given)) or "none"
                raise StillhouseError(f"{self.where}: must give {name} among its signals, got {got}")
        return {name: self._matrix(name, given[name]) for name in wanted}

    def _matrix(self, name: str, given: Any) -> Matrix:
        try:
            # A tensor of torch that has a gradient, or is in bfloat16, is no array by itself.
            values = np.asarray(given.detach().cpu().double() if hasattr(given, "detach") else given)
        except (TypeError, ValueError) as error:
            raise StillhouseError(f"{self.where}: {name} must be rows of as many numbers, got {said(error)}") from error
        if values.dtype.kind not in "biuf":
            raise StillhouseError(f"{self.where}: {name} must be numbers, got an array of {values.dtype}")
        with np.errstate(over="ignore"):  # the engine refuses what is infinite
            matrix = values.astype(np.float32)
        return matrix[:, None] if matrix.ndim == 1 else matrix


@dataclass(frozen=True)
class Function:
    """A function that is ready to be asked."""

    call: Call
    description: Description

    def answer(self, rows: pa.Table) -> Answers:
        """The signals that were asked for, of a table of the task's inputs.

        Raises:
            StillhouseError: as of ``Call.signals``.
        """
        return Answers(self.call.signals(rows, self.description.widths))

    def kept(self) -> Mapping[str, bytes]:
        """A function has nothing for students."""
        return {}


def _import(where: str, name: str, folder: Path) -> tuple[ModuleType, str]:
    """A module and the hash of its file."""
    try:
        with _searched_first(folder):
            importlib.invalidate_caches()
            module = importlib.import_module(name)
            digest = _hash(where, module)
            if _imported.setdefault(name, digest) != digest:  # edited since, as happens in a notebook
                module = importlib.reload(module)
                _imported[name] = digest
    except StillhouseError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise StillhouseError(
                f"{where}: must be a module in {folder} or an installed one, got no module {error.name!r}"
            ) from None
        place = _place(error)
        raise StillhouseError(f"{where}: must be a module that can be imported, got {said(error)} ({place})") from error
    return module, digest


def _hash(where: str, module: ModuleType) -> str:
    file = Path(getattr(module, "__file__", None) or "")
    if not file.is_file():
        raise StillhouseError(f"{where}: {module.__name__} must be a module with a file, got one without")
    digest = xxh3_128()
    hash_file(digest, file)
    return digest.hexdigest()


@contextmanager
def _searched_first(folder: Path) -> Iterator[None]:
    """Modules are looked for in a folder first."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


def _classes(where: str, function: Any, request: Request) -> tuple[str, ...]:
    known = request.task.classes
    if request.task.target == "regression" or "logits" not in request.signals:
        return ()
    own = getattr(function, "classes", None)
    if own is not None:
        return match_classes(f"{where}: attribute", list(own), known)
    if not known:
        raise StillhouseError(f"{where}: must have an attribute classes, since the task has none, got none")
    return known


def _widths(call: Call, request: Request, classes: Sequence[str]) -> dict[str, int]:
    """How many numbers each signal has: of logits as many as classes, of others what it gives, or gave, for rows."""
    widths: dict[str, int] = {}
    if request.sample is not None and len(request.sample):
        rows = request.sample.slice(0, 2)
        for name, values in call.signals(rows, request.signals).items():
            own = values.shape[1] if values.ndim == 2 else 1
            width = (len(classes) or 1) if name == "logits" else own
            wanted = (len(rows), width)
            if values.shape != wanted:
                raise StillhouseError(f"{call.where}: {name} must have shape {wanted}, got {values.shape}")
            if width < 1:
                raise StillhouseError(f"{call.where}: {name} must have at least 1 number a row, got none")
            widths[name] = width
        return widths
    made = (request.made or {}).get("signals", {})
    for name in request.signals:
        known = (len(classes) or 1) if name == "logits" else made.get(name)
        if known is None and made:
            raise OccupiedError(
                f"{call.where}: signals must be those that the cache was made with ({', '.join(made)}), got {name} too:"
                " use another --out or --force"
            )
        if known is None:
            raise StillhouseError(f"{call.where}: must be given some rows to learn the width of {name}, got no sample")
        widths[name] = int(known)
    return widths


def _plain_rows(rows: pa.Table, task: Task) -> list[Any]:
    if task.kind == "features":
        return list(rows.select(task.inputs).to_pylist())
    columns = [rows[name].to_pylist() for name in task.inputs]
    return columns[0] if task.kind == "text" else list(zip(*columns, strict=True))


def _place(error: BaseException, file: str | None = None) -> str:
    """Where in a file an error came from: its last line that was being run; of no file, the last of all."""
    if isinstance(error, SyntaxError) and file is None:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    last = [frame for frame in frames if frame.filename == file] or list(frames)
    return f"{last[-1].filename}:{last[-1].lineno}"


def _kind(value: Any) -> str:
    return "none" if value is None else type(value).__name__
