"""How rows become the arrays that a network reads; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset.tables import FeatureTypes

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
Columns = Sequence[pa.Array | pa.ChunkedArray]


class Inputs(Protocol):
    """N rows as numbers."""

    @property
    def names(self) -> tuple[str, ...]:
        """What ``batch`` gives, in order, which is that of the network's ``forward``; the inputs of the ONNX file."""
        ...

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) what a row costs the network: rows of one length are batched together."""
        ...

    def batch(self, rows: Rows) -> tuple[Array, ...]:
        """Some rows as arrays with B in front; texts are padded at the end."""
        ...

    def columns(self) -> dict[str, Array]:
        """All rows as arrays that can be laid end to end with others'; ``Encoding.inputs`` takes them back."""
        ...


class Encoding(Protocol):
    """What a student knows of words, pieces or features; saved with it."""

    #: The name under which ``config.json`` and ``encodings`` have it.
    kind: ClassVar[str]

    @property
    def types(self) -> FeatureTypes | None:
        """The types of features by column, for ``read_rows``; None for texts."""
        ...

    def encode(self, columns: Columns) -> Inputs:
        """N rows as numbers, from the task's input columns in their order."""
        ...

    def inputs(self, columns: Mapping[str, Array]) -> Inputs:
        """The rows whose ``Inputs.columns`` these are, be they in memory or mapped."""
        ...

    def settings(self) -> dict[str, Any]:
        """What ``config.json`` holds of it, as plain values."""
        ...

    def files(self) -> dict[str, bytes]:
        """What is too long for ``config.json``, by file name."""
        ...

    @classmethod
    def read(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Encoding:
        """The encoding that gave these settings and files.

        Raises:
            KeyError, TypeError, ValueError: they are of something else; the caller says of what file.
        """
        ...
