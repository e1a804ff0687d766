"""Arrays in files, laid end to end and mapped into memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from .encoding import Array


def write_arrays(folder: Path, of: str, pieces: Iterable[Mapping[str, Array]]) -> dict[str, Any]:
    """Lays the arrays of one name end to end in a file, and says the type and the shape of a row of each."""
    kinds: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for columns in pieces:
            for name, array in columns.items():
                if name not in files:
                    files[name] = stack.enter_context((folder / f"{of}-{name}.bin").open("wb"))
                    kinds[name] = [array.dtype.str, list(array.shape[1:])]
                files[name].write(np.ascontiguousarray(array, np.dtype(kinds[name][0])).data)
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return kinds


def open_arrays(folder: Path, of: str, kinds: Mapping[str, Sequence[Any]]) -> dict[str, Array]:
    found = {}
    for name, (dtype, shape) in kinds.items():
        file = folder / f"{of}-{name}.bin"
        flat: Array = np.memmap(file, dtype, "r") if file.stat().st_size else np.zeros(0, dtype)
        found[name] = flat.reshape(-1, *shape) if shape else flat
    return found
