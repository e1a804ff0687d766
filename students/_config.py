"""What a student is, but for its weights; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from transferset import StillhouseError, Task, unknown

from ._features import Features
from ._subwords import Subwords
from ._words import Vocabulary
from .encoding import Encoding

FORMAT = 1
ENCODINGS: dict[str, type[Any]] = {each.kind: each for each in (Vocabulary, Subwords, Features)}
#: The files in which the encodings keep what is long.
ENCODING_FILES = {"words": ("vocabulary.json",), "pieces": ("tokenizer.json",), "features": ("features.json",)}
#: The weights in a student's directory, and those after the last epoch where they are others.
WEIGHTS, LAST = "model.safetensors", "last.safetensors"
#: The files of a student's directory; those that a student does not need are not there.
FILES = (
    "README.md",
    "config.json",
    "metrics.json",
    WEIGHTS,
    LAST,
    *(name for names in ENCODING_FILES.values() for name in names),
)


def encoding_to_json(encoding: Encoding) -> dict[str, Any]:
    """An encoding but for its files, as plain values."""
    return {"kind": encoding.kind, **encoding.settings()}


def read_encoding(stored: Mapping[str, Any], read_file: Callable[[str], bytes]) -> Encoding:
    """The encoding that ``encoding_to_json`` described; raises as ``Encoding.read``, and for an unknown kind."""
    settings = dict(stored)
    kind = str(settings.pop("kind"))
    if kind not in ENCODINGS:
        raise unknown("encoding", kind, ENCODINGS)
    files = {name: read_file(name) for name in ENCODING_FILES[kind]}
    encoding: Encoding = ENCODINGS[kind].read(settings, files)
    return encoding


@dataclass(frozen=True)
class Config:
    """What ``config.json`` says of a student.

    Attributes:
        task: the columns it reads and the classes it tells apart.
        encoding: the words, pieces or features it knows.
        student: the name of its architecture.
        parameters: the sizes of its architecture.
        output: ``logits``, or ``embedding`` of a student for search and clustering.
        width: how many numbers it gives a row: classes, 1 for a score, or the width of the embedding.
        made_from: what it was trained on, and how.
    """

    task: Task
    encoding: Encoding
    student: str
    parameters: Mapping[str, Any]
    output: Literal["logits", "embedding"]
    width: int
    made_from: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """All but the encoding's files, as plain values."""
        return {
            "format": FORMAT,
            "student": self.student,
            "parameters": dict(self.parameters),
            "task": self.task.to_json(),
            "encoding": encoding_to_json(self.encoding),
            "output": self.output,
            "width": self.width,
            "made_from": dict(self.made_from),
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any], read_file: Callable[[str], bytes], where: str) -> Config:
        """The student that ``to_json`` described; ``read_file`` gives the encoding's files by name.

        Raises:
            StillhouseError: it is not a student's, or of a newer format; ``where`` begins the complaint.
        """
        if "student" not in stored:
            raise StillhouseError(f"{where}: must be a student, got a config of something else")
        if not isinstance(stored.get("format"), int) or stored["format"] > FORMAT:
            raise StillhouseError(
                f"{where}: format must be {FORMAT} or older, got {stored.get('format')!r}: upgrade stillhouse"
            )
        try:
            task, width = Task.from_json(stored["task"]), stored["width"]
            if stored["output"] not in ("logits", "embedding") or not isinstance(width, int) or width < 1:
                raise ValueError(f"output and width must fit, got {stored['output']!r} and {width!r}")
            if stored["output"] == "logits" and width != task.outputs:
                raise ValueError(f"width must be that of the task, {task.outputs}, got {width}")
            encoding = read_encoding(stored["encoding"], read_file)
            known = tuple(each.name for each in encoding.columns) if isinstance(encoding, Features) else None
            if known != (task.inputs if task.kind == "features" else None):
                raise ValueError("the encoding must be of the task's inputs, got another's")
            return cls(
                task,
                encoding,
                str(stored["student"]),
                dict(stored["parameters"]),
                stored["output"],
                width,
                dict(stored["made_from"]),
            )
        except StillhouseError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
            raise StillhouseError(f"{where}: config.json must describe a student: {reason}") from None
