"""The options that teachers which are transformers have in common, and what they may be."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from transferset import StillhouseError, unknown

Precision = Literal["float32", "bfloat16", "onnx", "int8"]
Dtype = Literal["auto", "float32", "bfloat16", "onnx", "int8"]
POOLING = ("mean", "cls")


class Options(Protocol):
    """What the teachers that are transformers have in common."""

    @property
    def name(self) -> str:
        """Directory or hub name."""
        ...

    @property
    def max_length(self) -> int | None:
        """Most tokens of a row."""
        ...

    @property
    def dtype(self) -> str:
        """A precision, or ``auto``."""
        ...

    @property
    def batch_tokens(self) -> int | None:
        """Tokens in a forward pass."""
        ...

    @property
    def pooling(self) -> str | None:
        """What makes the embedding of a text."""
        ...


def check_options(options: Options) -> None:
    """Raises StillhouseError where an option is out of range."""
    if options.dtype not in get_args(Dtype):
        raise unknown("dtype", options.dtype, get_args(Dtype))
    if options.batch_tokens is not None and options.batch_tokens < 1:
        raise StillhouseError(f"batch-tokens: must be at least 1, got {options.batch_tokens}")
    if options.max_length is not None and options.max_length < 1:
        raise StillhouseError(f"max-length: must be at least 1, got {options.max_length}")
    if options.pooling is not None and options.pooling not in POOLING:
        raise unknown("pooling", options.pooling, POOLING)
