"""A trained student: its network, its vocabulary, and the directory both are kept in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
from transferset.parameters import build, describe, discover

from ._vocabulary import Tokens, Vocabulary

FORMAT = 1
#: Rows in a forward pass when predicting.
BATCH_ROWS = 512


class Architecture(Protocol):
    """A frozen dataclass of sizes that builds a network; its module is the student's name."""

    @property
    def vector_width(self) -> int:
        """E, the width of the word vectors it reads."""
        ...

    def build(self, words: int, outputs: int) -> nn.Module:
        """A network from word ids (B, T) and lengths (B,) to logits (B, C), with a table ``vectors``."""
        ...


@dataclass
class Student:
    """A network that gives the logits of a task.

    Attributes:
        task: the columns it reads and the classes it tells apart.
        architecture: its kind and sizes.
        vocabulary: the words it knows.
        model: the network.
        made_from: what it was trained on, and how.
    """

    task: Task
    architecture: Architecture
    vocabulary: Vocabulary
    model: nn.Module
    made_from: Mapping[str, Any]

    def logits(self, rows: pa.Table | pa.RecordBatch) -> npt.NDArray[np.float32]:
        """The logits, (B, C), of B rows; their order and company change nothing but the last bits."""
        return self.token_logits(self.vocabulary.encode(rows[self.task.inputs[0]]))

    def token_logits(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """The logits, (B, C), of B texts that the vocabulary has encoded."""
        order = np.argsort(tokens.lengths, kind="stable")
        logits = np.zeros((len(tokens), self.task.outputs), np.float32)
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(order), BATCH_ROWS):
                rows = order[start : start + BATCH_ROWS]
                ids, lengths = (torch.from_numpy(each) for each in tokens.padded(rows))
                logits[rows] = self.model(ids, lengths).numpy()
        self.model.train(was_training)
        return logits

    def save(self, folder: Path, metrics: Mapping[str, Any], state: Mapping[str, Tensor] | None = None) -> None:
        """Writes the student into a directory; ``config.json`` comes last, so a directory that has it is whole."""
        (folder / "_checkpoint").mkdir(parents=True, exist_ok=True)
        weights = {name: each.contiguous() for name, each in (state or self.model.state_dict()).items()}
        config: dict[str, Any] = {
            "format": FORMAT,
            "student": architecture_name(self.architecture),
            "parameters": describe(self.architecture),
            "task": self.task.to_json(),
            "mask_token": self.vocabulary.mask_token,
            "lowercase": self.vocabulary.lowercase,
            "made_from": self.made_from,
        }
        scratch = folder / "_checkpoint"
        data = save(weights)
        config["checksum"] = xxh3_128_hexdigest(data)
        write_file(folder / "model.safetensors", data, scratch)
        write_json(folder / "vocabulary.json", list(self.vocabulary.words), scratch)
        write_json(folder / "metrics.json", metrics, scratch)
        write_json(folder / "config.json", config, scratch)
        shutil.rmtree(scratch)

    @classmethod
    def load(cls, folder: Path | str) -> Student:
        """The student in a directory.

        Raises:
            StillhouseError: there is none, it is of a newer format, or its files do not fit together.
        """
        folder = Path(folder)
        config = _read_json(folder / "config.json", dict)
        if "student" not in config:
            raise StillhouseError(f"{folder}: must be a student's directory, got a config.json of something else")
        if not isinstance(config.get("format"), int) or config["format"] > FORMAT:
            raise StillhouseError(
                f"{folder}: format must be {FORMAT} or older, got {config.get('format')!r}: upgrade stillhouse"
            )
        try:
            task = Task.from_json(config["task"])
            words = tuple(_read_json(folder / "vocabulary.json", list))
            vocabulary = Vocabulary(words, config["mask_token"], config["lowercase"])
            vocabulary.encode(pa.array([""]))
            architecture = load_architecture(config["student"], config["parameters"])
            made_from = config["made_from"]
        except (KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            raise StillhouseError(f"{folder}: config.json must describe a student: {error!r}") from None
        model = architecture.build(len(vocabulary), task.outputs)
        try:
            data = (folder / "model.safetensors").read_bytes()
            model.load_state_dict(load(data))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise StillhouseError(
                f"{folder / 'model.safetensors'}: must hold the weights that config.json describes: {reason}"
            ) from None
        if xxh3_128_hexdigest(data) != config.get("checksum"):
            raise StillhouseError(
                f"{folder / 'model.safetensors'}: must have the checksum in config.json, got another: the file was"
                " damaged or edited"
            )
        return cls(task, architecture, vocabulary, model, made_from)


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


def architectures() -> dict[str, type[Any]]:
    """All kinds of student, by name."""
    return discover("students", "build")


def architecture_name(architecture: Architecture) -> str:
    """The name under which ``load_architecture`` finds it."""
    return type(architecture).__module__.rpartition(".")[2]


def write_json(path: Path, value: Any, scratch: Path) -> None:
    """Writes a JSON file whole or not at all; ``scratch`` is where it is unfinished."""
    write_file(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode(), scratch)


def _read_json(path: Path, kind: type[Any]) -> Any:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise StillhouseError(f"{path.parent}: must be a student's directory: {path.name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StillhouseError(f"{path}: must be JSON: {error}") from None
    if not isinstance(value, kind):
        raise StillhouseError(f"{path}: must hold a JSON {kind.__name__}, got {type(value).__name__}")
    return value
