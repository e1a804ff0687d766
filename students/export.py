"""A student as one ONNX file, which predicts where torch is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from transferset import StillhouseError
from transferset.files import whole_file
from transferset.onnx import check_exportable, export_errors, onnx_model

from ._recurrent import with_operators
from ._samples import samples
from .encoding import Array, Inputs
from .onnx_student import OUTPUT, OnnxStudent, metadata
from .student import Student

#: The largest difference from torch that a file may have; or of outputs above a hundred, such as prices, as a share
#: of the largest: float32 itself has no more than seven digits.
TOLERANCE, SHARE = 1e-4, 1e-6


def export(student: Student, file: Path | str, force: bool = False) -> float:
    """Writes a student into one ONNX file with all that it needs, for any number of rows and tokens.

    The graph has the inputs that ``Inputs.names`` says and one output, ``outputs``, (B, width): logits or embeddings.
    What is no network (``config.json``, the vocabulary or tokenizer) stands in the file's ``metadata_props``.

    Args:
        file: is there whole or not at all.
        force: whether to replace a file that is there.

    Returns:
        The largest difference from torch: of random texts of 1, 2, 17 and 128 tokens (or as many as the student
        reads), and of random features, one row at a time and 64 of mixed lengths.

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
    difference, largest = _largest_difference(student, OnnxStudent.of(data, threads=1))
    if not difference <= max(TOLERANCE, SHARE * largest):
        raise StillhouseError(
            f"onnx: an exported student must say what it says in torch, got a difference of {difference:.2g}"
        )
    with whole_file(file) as handle:
        handle.write(data)
    return difference


def to_onnx(student: Student) -> bytes:
    """The bytes of the file that ``export`` writes, before they are compared with torch; raises as it does."""
    check_exportable(student.model, "a student")
    if not hasattr(torch.onnx, "ops"):
        raise StillhouseError(f"onnx: torch must be 2.8 or newer to export a student, got {torch.__version__}")
    example = samples(student.encoding, student.task, rows=3, tokens=7)
    with export_errors("a student"):
        model = _exported(with_operators(student.model).eval(), example)
    for name, value in metadata(student.config).items():
        model.metadata_props.add(key=name, value=value)
    return bytes(model.SerializeToString())


def _exported(network: nn.Module, example: Inputs) -> Any:
    """The network as an ONNX ModelProto whose inputs have the example's names."""
    names = example.names
    model = onnx_model(network, _tensors(_all(example)), names, [OUTPUT], [_axes(name) for name in names])
    _name_axes(model.graph, names)
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


def _largest_difference(student: Student, exported: OnnxStudent) -> tuple[float, float]:
    """The largest difference over all samples, and the largest output; nan where either says nan."""
    was_training = student.model.training
    student.model.eval()
    found = [
        _difference(student.model, exported, samples(student.encoding, student.task, rows, tokens))
        for tokens in (1, 2, 17, 128)
        for rows in (1, 64)
    ]
    student.model.train(was_training)
    difference, largest = np.max(found, axis=0).tolist()
    return difference, largest


def _difference(model: nn.Module, exported: OnnxStudent, inputs: Inputs) -> tuple[float, float]:
    arrays = _all(inputs)
    with torch.inference_mode():
        wanted = model(*_tensors(arrays)).numpy()
    with np.errstate(invalid="ignore"):
        difference = np.abs(wanted - exported.answer(inputs.names, arrays)).max()
    return float(difference), float(np.abs(wanted).max())
