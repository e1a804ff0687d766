"""A student as one ONNX file, which predicts where torch is not installed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from transferset import StillhouseError
from transferset.files import whole_file

from ._recurrent import with_operators
from ._samples import samples
from .encoding import Array, Inputs
from .onnx_student import OUTPUT, OnnxStudent, metadata
from .student import Student

#: The largest difference from torch, as a share of the largest output or of 1, that a file may have.
TOLERANCE = 1e-4
LARGEST = 2**31 - 2**20  # what protobuf holds, less the graph itself
_NOISY = ("torch.onnx", "torch.export", "torch.fx", "onnxscript", "onnx_ir")


def export(student: Student, file: Path | str, force: bool = False) -> float:
    """Writes a student into one ONNX file with all that it needs, for any number of rows and tokens.

    The graph has the inputs that ``Inputs.names`` says and one output, ``outputs``, (B, width): logits or embeddings.
    What is no network (``config.json``, the vocabulary or tokenizer) stands in the file's ``metadata_props``.

    Args:
        file: is there whole or not at all.
        force: whether to replace a file that is there.

    Returns:
        The largest difference from torch, as a share of the largest output or of 1: of random texts of 1, 2, 17 and
        128 tokens (or as many as the student reads), and of random features, one row at a time and 64 of mixed lengths.

    Raises:
        StillhouseError: a network that cannot be exported or says something else in ONNX; the extra ``onnx`` is not
            installed; a file is there.
    """
    file = Path(file)
    if file.is_dir():
        raise StillhouseError(f"{file}: must be a file, got a directory")
    if file.exists() and not force:
        raise StillhouseError(f"{file}: must not be there yet, got a file: use --force to replace it")
    data = to_onnx(student)
    difference = _largest_difference(student, OnnxStudent.of(data, threads=1))
    if not difference <= TOLERANCE:
        raise StillhouseError(
            f"onnx: an exported student must say what it says in torch, got a difference of {difference:.2g}"
        )
    with whole_file(file) as handle:
        handle.write(data)
    return difference


def to_onnx(student: Student) -> bytes:
    """The bytes of the file that ``export`` writes, before they are compared with torch; raises as it does."""
    _check_installed()
    size = 4 * sum(each.numel() for each in [*student.model.parameters(), *student.model.buffers()])
    if size > LARGEST:
        raise StillhouseError(f"onnx: a student must be smaller than 2 GiB, got {size / 2**30:.1f} GiB")
    example = samples(student.encoding, student.task, rows=3, tokens=7)
    try:
        model = _exported(with_operators(student.model).eval(), example)
    except Exception as error:
        # The exporter raises whatever it likes; the last of the chain says what was wrong.
        while error.__cause__ is not None and isinstance(error.__cause__, Exception):
            error = error.__cause__
        if isinstance(error, StillhouseError):
            raise error from None
        line = next((each.strip() for each in str(error).splitlines() if each.strip()), type(error).__name__)
        raise StillhouseError(f"onnx: a student must be exportable by torch.onnx, got: {line[:200]}") from error
    for name, value in metadata(student.config).items():
        model.metadata_props.add(key=name, value=value)
    return bytes(model.SerializeToString())


def _exported(network: nn.Module, example: Inputs) -> Any:
    """The network as an ONNX ModelProto whose inputs have the example's names."""
    arrays = _tensors(_all(example))
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            network,
            arrays,
            input_names=list(example.names),
            output_names=[OUTPUT],
            dynamic_shapes=tuple(dict.fromkeys(_axes(name), torch.export.Dim.DYNAMIC) for name in example.names),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    _name_axes(model.graph, example.names)
    del model.graph.value_info[:]  # shapes that the exporter thought of, not all of which hold
    return model


def _axes(name: str) -> tuple[int, ...]:
    """Which axes of an input may be of any size: its rows, and the tokens of ids."""
    return (0, 1) if name in ("ids", "other_ids") else (0,)


def _name_axes(graph: Any, names: Sequence[str]) -> None:
    """Gives the free axes names that say what they are, where the exporter numbered them."""
    known: dict[str, str] = {}
    for value, name in zip(graph.input, names, strict=True):
        tokens = "other_tokens" if name.startswith("other") else "tokens"
        for axis, meaning in zip(_axes(name), ("rows", tokens), strict=False):
            known[value.type.tensor_type.shape.dim[axis].dim_param] = meaning
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in known:
                axis.dim_param = known[axis.dim_param]


def _all(inputs: Inputs) -> tuple[Array, ...]:
    """All rows as one batch."""
    return inputs.batch(np.arange(len(inputs)))


def _tensors(arrays: Sequence[Array]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(each) for each in arrays)


def _largest_difference(student: Student, exported: OnnxStudent) -> float:
    """Over all samples; nan where either says nan."""
    was_training = student.model.training
    student.model.eval()
    found = [
        _difference(student.model, exported, samples(student.encoding, student.task, rows, tokens))
        for tokens in (1, 2, 17, 128)
        for rows in (1, 64)
    ]
    student.model.train(was_training)
    return float(np.max(found))


def _difference(model: nn.Module, exported: OnnxStudent, inputs: Inputs) -> float:
    arrays = _all(inputs)
    with torch.inference_mode():
        wanted = model(*_tensors(arrays)).numpy()
    with np.errstate(invalid="ignore"):
        distance = np.abs(wanted - exported.answer(inputs.names, arrays)).max()
    return float(distance) / max(1.0, float(np.abs(wanted).max()))


def _check_installed() -> None:
    missing = [each for each in ("onnx", "onnxscript", "onnxruntime") if find_spec(each) is None]
    if missing:
        raise StillhouseError(f"onnx: {', '.join(missing)} must be installed: run `pip install 'stillhouse[onnx]'`")
    if not hasattr(torch.onnx, "ops"):
        raise StillhouseError(f"onnx: torch must be 2.8 or newer to export a student, got {torch.__version__}")


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
