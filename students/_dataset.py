"""What students are trained on: a transfer set joined with its cache as flat arrays in mapped files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from transferset import StillhouseError, Task

from ._arrays import open_arrays
from ._config import read_encoding
from ._gold import Targets
from ._sealed import read_sealed
from .encoding import Array, Encoding, Inputs, Rows
from .objectives import Output


@dataclass(frozen=True)
class Examples:
    """N encoded rows and what is known of them.

    Attributes:
        inputs: what the network reads.
        teacher: (N, C) what the teacher said; None where it was not asked.
        gold: the gold targets, see ``gold_targets``.
        has_gold: (N,) which rows have one.
    """

    inputs: Inputs
    teacher: Array | None
    gold: Targets
    has_gold: npt.NDArray[np.bool_]

    def targets(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """What an objective is given of some rows: the teacher's signal, gold targets, and which there are."""
        teacher = self.teacher[rows] if self.teacher is not None else np.zeros((len(rows), 1), np.float32)
        return torch.from_numpy(teacher), torch.from_numpy(self.gold[rows]), torch.from_numpy(self.has_gold[rows])


@dataclass(frozen=True)
class Dataset:
    """The rows to train on, those to watch, and all that a student must know of them.

    Attributes:
        task: with its classes.
        encoding: how rows become numbers.
        signal: which signal of the teacher's the targets are; width: its width.
        train: all rows of the transfer set.
        source, copy: (N,) of each row of ``train``, as in the transfer set.
        rules: (N,) which rules edited it: bit n is that of ``rule_names[n]``.
        dev: the rows of the dev file, if there is one.
        known, vectors: the numbers of words that a vector is known of, and the vectors, before any is trained.
        made_from: the transfer set, the cache, the dev file, and how they were read.
        teacher: what the cache calls its teacher; of an ensemble, ``made_from`` has the names.
    """

    task: Task
    encoding: Encoding
    signal: Output
    width: int
    train: Examples
    source: npt.NDArray[np.int64]
    copy: npt.NDArray[np.int32]
    rules: npt.NDArray[np.uint64]
    rule_names: tuple[str, ...]
    dev: Examples | None
    known: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    made_from: Mapping[str, Any]
    teacher: str


def open_dataset(folder: Path) -> Dataset:
    """The data set that ``prepare`` made in a folder, mapped into memory."""
    record = read_sealed(folder / "dataset.json")
    encoding = read_encoding(record["encoding"], lambda name: (folder / name).read_bytes())
    arrays = {of: open_arrays(folder, of, kinds) for of, kinds in record["arrays"].items()}
    train, words, dev = arrays["train"], arrays["words"], arrays.get("dev")
    return Dataset(
        Task.from_json(record["task"]),
        encoding,
        record["signal"],
        record["width"],
        _examples(train, encoding),
        train["source"],
        train["copy"],
        train["rules"],
        tuple(record["rules"]),
        _examples(dev, encoding) if dev is not None else None,
        words["known"],
        words["vectors"],
        record["made_from"],
        record["teacher"],
    )


def _examples(columns: Mapping[str, Array], encoding: Encoding) -> Examples:
    others = ("teacher", "gold", "has_gold", "source", "copy", "rules")
    inputs = encoding.inputs({name: each for name, each in columns.items() if name not in others})
    return Examples(inputs, columns.get("teacher"), columns["gold"], columns["has_gold"])


def rows_to_train(data: Dataset, needs_gold: bool, copies: int | None, augmenters: str | None) -> Rows:
    """The rows that take part: those with a gold label, of the first copies, edited by some of the rules alone.

    Raises:
        StillhouseError: a rule that edited no row, or no rows are left.
    """
    keep = np.ones(len(data.train.inputs), np.bool_)
    if needs_gold:
        keep &= data.train.has_gold
    if copies is not None:
        keep &= data.copy <= copies
    if augmenters is not None:
        wanted = [name for name in map(str.strip, augmenters.split(",")) if name not in ("", "none")]
        for name in wanted:
            if name not in data.rule_names:
                raise StillhouseError(
                    f"train: augmenters must be those of the transfer set ({', '.join(data.rule_names) or 'none'}),"
                    f" got {name!r}"
                )
        allowed = sum(1 << data.rule_names.index(name) for name in set(wanted))
        keep &= (data.rules & ~np.uint64(allowed)) == 0
    if not keep.any():
        what = " with a gold label" if needs_gold else ""
        raise StillhouseError(f"train: the transfer set must hold rows to train on, got none{what}")
    return np.flatnonzero(keep)
