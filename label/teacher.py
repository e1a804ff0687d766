"""What a teacher is: a frozen dataclass of options, and the model that it loads.

A new teacher is a new file in this folder: a dataclass that bears the file's name, whose first field is what the user
gave as the teacher (``sklearn:FILE`` makes ``Sklearn("FILE")``) and whose other fields are its options, with a method
``load``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from transferset import Matrix, Signal, Task


@dataclass(frozen=True)
class Request:
    """What is asked of a teacher.

    Attributes:
        task: the columns of the rows that will come, and the classes.
        signals: what to give for each row.
        mask_token: what stands for a masked word in the texts; the teacher reads it as its own.
        made: what a cache that exists says of itself, a teacher's identity among it: open choices (``dtype`` ``auto``)
            are settled as they were then.
        sample: some of the rows, drawn at random, to settle open choices on.
        rows: how many will be asked for.
    """

    task: Task
    signals: tuple[Signal, ...] = ("logits",)
    mask_token: str | None = None
    made: Mapping[str, Any] | None = None
    sample: pa.Table | None = None
    rows: int = 0


@dataclass(frozen=True)
class Description:
    """A loaded teacher in plain values.

    Attributes:
        identity: what its answers depend on: under ``teacher`` a hash of what it is made of, then its settings, such
            as length and precision. Another identity is another cache.
        classes: the task's classes in the order of its logits; empty where it gives a score, or no logits.
        widths: how many numbers each signal has a row: of ``logits`` C, of ``embedding`` H.
        made_with: what is worth knowing besides, such as the fidelity of a fast backend.
        chunk_rows: the most rows that it is asked about in one call.
        chunk_bytes: the most bytes of text in one call, for a teacher whose rows come by length, longest first; None
            for one that takes them as they come.
        workers: how many threads of a process may ask it at once.
    """

    identity: Mapping[str, Any]
    classes: tuple[str, ...]
    widths: Mapping[str, int]
    made_with: Mapping[str, Any] = field(default_factory=dict)
    chunk_rows: int = 65_536
    chunk_bytes: int | None = None
    workers: int = 1


@dataclass(frozen=True)
class Answers:
    """What a teacher says of B rows: each signal, (B, width), and how many rows were too long and were cut."""

    signals: Mapping[str, Matrix]
    cut: int = 0


class Loaded(Protocol):
    """A teacher that is ready to be asked."""

    @property
    def description(self) -> Description:
        """What it is and how it wants to be asked."""
        ...

    def answer(self, rows: pa.Table) -> Answers:
        """Its signals for B rows: a table of the task's input columns.

        The same rows in the same order give the same bits, in any thread or process of a machine.
        """
        ...

    def kept(self) -> Mapping[str, bytes]:
        """Files that students may want of it, such as its tokenizer and input embeddings: name and content."""
        ...


class Teacher(Protocol):
    """The options of a teacher.

    Attributes:
        gives: the signals it can give; the first is what it gives where none is asked for.
    """

    gives: ClassVar[tuple[Signal, ...]]

    def load(self, request: Request) -> Loaded:
        """The teacher, ready to be asked; raises StillhouseError where it cannot give what is requested."""
        ...
