"""From torch to ONNX, as teachers and students need it; torch is loaded only here and when it is used."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .errors import StillhouseError

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Of the extra ``onnx``; who reads a file needs the last alone.
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 2**31 - 2**20  # what protobuf holds, less the graph itself
_NOISY = ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")


def missing_packages(needed: Sequence[str] = PACKAGES) -> list[str]:
    """Those of the packages needed here that are not installed."""
    return [each for each in needed if find_spec(each) is None]


def check_installed(needed: Sequence[str] = PACKAGES) -> None:
    """Raises StillhouseError with the line that installs the extra ``onnx`` where a package of it is missing."""
    if missing := missing_packages(needed):
        raise StillhouseError(f"onnx: {', '.join(missing)} must be installed: run `pip install 'stillhouse[onnx]'`")


def runtime() -> Any:
    """The package onnxruntime, told to keep to itself: some versions put an identifier into the home directory."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def check_exportable(network: nn.Module, what: str) -> None:
    """As ``check_installed``, and raises StillhouseError for a network that is too large for a file."""
    check_installed()
    size = 4 * sum(each.numel() for each in [*network.parameters(), *network.buffers()])
    if size > LARGEST:
        raise StillhouseError(f"onnx: {what} must be smaller than 2 GiB in float32, got {size / 2**30:.1f} GiB")


def onnx_model(
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Sequence[Sequence[int]],
) -> Any:
    """A network as an ONNX ModelProto, with names for its inputs and outputs.

    ``example`` is what ``forward`` takes, and ``axes`` which axes of each are of any size. Raises what torch does.
    """
    import torch

    free = torch.export.Dim.DYNAMIC
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            network,
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(dict.fromkeys(each, free) for each in axes),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    del model.graph.value_info[:]  # shapes that the exporter thought of, not all of which hold
    return model


@contextmanager
def export_errors(what: str) -> Iterator[None]:
    """Turns whatever the exporter and the runtime raise into one line: the last of a chain says what was wrong."""
    try:
        yield
    except Exception as error:
        while error.__cause__ is not None and isinstance(error.__cause__, Exception):
            error = error.__cause__
        if isinstance(error, StillhouseError):
            raise error from None
        line = next((each.strip() for each in str(error).splitlines() if each.strip()), type(error).__name__)
        raise StillhouseError(f"onnx: {what} must be exportable by torch.onnx, got: {line[:200]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's warnings and log lines from the user, for whom they say nothing."""
    loggers = [logging.getLogger(each) for each in _NOISY]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
