"""A trained student: its network, what it knows of words or features, and the directory both are kept in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from xxhash import xxh3_128_hexdigest

from transferset import StillhouseError, Task, unknown
from transferset.files import write_file
from transferset.parameters import build, discover
from transferset.plain import parse_json

from ._batched import outputs_of
from ._card import card
from ._config import ENCODING_FILES, LAST, WEIGHTS, Config
from ._hub import OnHub
from .encoding import Encoding, Inputs, Rows

#: Tokens, padding included, in a forward pass when predicting; of features, rows.
BATCH_TOKENS = 1 << 14


class Architecture(Protocol):
    """A frozen dataclass of sizes that builds a network; its module is the student's name."""

    #: The kinds of task it reads: ``text``, ``pair``, ``features``.
    kinds: ClassVar[tuple[str, ...]]

    def build(self, encoding: Encoding, task: Task, outputs: int) -> nn.Module:
        """A network whose ``forward`` takes what ``Inputs.batch`` gives and returns (B, outputs).

        If it has word vectors, they are an ``nn.Embedding`` called ``vectors``.
        """
        ...


@dataclass
class Student(OnHub):
    """A network that gives the logits of a task, or embeddings.

    Attributes:
        config: what it is, but for its weights.
        model: the network.
        metrics: what its directory says of its training.
    """

    config: Config
    model: nn.Module
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The columns it reads and the classes it tells apart."""
        return self.config.task

    @property
    def encoding(self) -> Encoding:
        """The words, pieces or features it knows."""
        return self.config.encoding

    def outputs(self, rows: pa.Table | pa.RecordBatch) -> npt.NDArray[np.float32]:
        """The logits or embeddings, (B, C), of B rows; their order and company change nothing but the last bits."""
        return self.run(self.encoding.encode([rows[name] for name in self.task.inputs]))

    def run(self, inputs: Inputs, some: Rows | None = None) -> npt.NDArray[np.float32]:
        """The logits or embeddings, (B, C), of B rows that the encoding has encoded: of all, or of ``some``."""
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            found = outputs_of(
                inputs,
                np.arange(len(inputs)) if some is None else some,
                self.config.width,
                BATCH_TOKENS,
                lambda *arrays: self.model(*map(torch.from_numpy, arrays)).numpy(),
            )
        self.model.train(was_training)
        return found

    def save(self, folder: Path, metrics: Mapping[str, Any], last: Mapping[str, Tensor] | None = None) -> None:
        """Writes the student into a directory; ``config.json`` comes last, so a directory that has it is whole.

        ``last`` are the weights after the last epoch of its training, where they are others.
        """
        scratch = folder / "_checkpoint"
        scratch.mkdir(parents=True, exist_ok=True)
        state = self.model.state_dict()
        files = {**self.encoding.files(), WEIGHTS: _to_bytes(state), **({LAST: _to_bytes(last)} if last else {})}
        for name, each in files.items():
            write_file(folder / name, each, scratch)
        if not last:
            (folder / LAST).unlink(missing_ok=True)
        write_json(folder / "metrics.json", metrics, scratch)
        readme = card(self.config, metrics, sum(each.numel() for each in state.values()))
        write_file(folder / "README.md", readme.encode(), scratch)
        sums = {name: xxh3_128_hexdigest(each) for name, each in files.items()}
        write_json(folder / "config.json", {**self.config.to_json(), "checksums": sums}, scratch)
        shutil.rmtree(scratch)
        self.metrics = metrics

    @classmethod
    def load(cls, folder: Path | str, epoch: Literal["best", "last"] = "best") -> Student:
        """The student in a directory, as it was after its best epoch or after the last, which may be the same.

        Raises:
            StillhouseError: there is none, it is of a newer format, or its files do not fit together.
        """
        folder = Path(folder)
        stored, where = _read_json(folder / "config.json"), f"{folder}: config.json"
        try:
            config = Config.read(stored, lambda name: _read(folder / name), str(folder))
            architecture = load_architecture(config.student, config.parameters)
        except StillhouseError as error:
            raise error if str(folder) in str(error) else StillhouseError(f"{where}: {error}") from None
        with torch.random.fork_rng(devices=[]):
            model = build_network(architecture, config.encoding, config.task, config.width, where)
        sums = stored.get("checksums")
        file = LAST if epoch == "last" and isinstance(sums, dict) and LAST in sums else WEIGHTS
        data = _read(folder / file)
        try:
            model.load_state_dict(load(data))
        except (SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise StillhouseError(
                f"{folder / file}: must hold the weights that config.json describes: {reason}"
            ) from None
        files = {name: _read(folder / name) for name in ENCODING_FILES[config.encoding.kind]}
        _check_sums(folder, sums, {file: data, **files})
        return cls(config, model, _read_json(folder / "metrics.json"))


def _to_bytes(weights: Mapping[str, Tensor]) -> bytes:
    return save({name: each.contiguous() for name, each in weights.items()})


def _check_sums(folder: Path, sums: Any, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        if not isinstance(sums, dict) or xxh3_128_hexdigest(data) != sums.get(name):
            raise StillhouseError(
                f"{folder / name}: must have the checksum in config.json, got another: the file was damaged or edited"
            )


def load_architecture(name: str, parameters: Mapping[str, Any]) -> Architecture:
    """A student's architecture by name, with some parameters set.

    >>> load_architecture("bilstm", {"width": 64})
    Bilstm(width=64, hidden=400, vector_width=300, dropout=0.1)

    Raises:
        StillhouseError: an unknown name or parameter.
    """
    known = architectures()
    if name not in known:
        raise unknown("student", name, known)
    architecture: Architecture = build(known[name], parameters, name)
    return architecture


def build_network(architecture: Architecture, encoding: Encoding, task: Task, outputs: int, where: str) -> nn.Module:
    """The network of an architecture, with weights at random; ``where`` begins every complaint.

    Raises:
        StillhouseError: sizes that no memory can hold, or an architecture that is not for the task.
    """
    name = architecture_name(architecture)
    if task.kind not in architecture.kinds:
        raise StillhouseError(f"{where}: {name} must be given {' or '.join(architecture.kinds)}, got {task.kind!r}")
    try:
        return architecture.build(encoding, task, outputs)
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise StillhouseError(f"{where}: {name} must have sizes that fit into memory, got: {reason[:200]}") from None


def architectures() -> dict[str, type[Any]]:
    """All kinds of student, by name."""
    return discover("students", "build")


def architecture_name(architecture: Architecture) -> str:
    """The name under which ``load_architecture`` finds it."""
    return type(architecture).__module__.rpartition(".")[2]


def write_json(path: Path, value: Any, scratch: Path) -> None:
    """Writes a JSON file whole or not at all; ``scratch`` is where it is unfinished."""
    write_file(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode(), scratch)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StillhouseError(f"{path.parent}: must be a student's directory: {path.name}: {error.strerror}") from None


def _read_json(path: Path) -> dict[str, Any]:
    data = _read(path)
    try:
        value = parse_json(data)
    except ValueError as error:
        raise StillhouseError(f"{path}: must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise StillhouseError(f"{path}: must hold a JSON dict, got {type(value).__name__}")
    return value
