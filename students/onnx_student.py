"""A student in one ONNX file, for machines without torch."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import StillhouseError, Task
from transferset.cores import cores
from transferset.onnx import PACKAGES, check_installed, runtime
from transferset.parameters import check_whole
from transferset.plain import parse_json

from ._batched import outputs_of
from ._config import Config
from .encoding import Array, Encoding, Inputs

#: Name of the graph's output, (B, width).
OUTPUT = "outputs"
#: Names under which the file holds what is no network; a file of the encoding's has its own name after a prefix.
CONFIG, TEXT, BINARY = "stillhouse.config", "stillhouse.text/", "stillhouse.base64/"
#: Tokens, padding included, that one thread computes at a time; of features, rows.
BATCH_TOKENS = 1 << 12
Outputs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OnnxStudent:
    """A student that ONNX Runtime computes.

    Batches are shared among threads, each of which computes alone: for networks of this size that is faster than
    several threads at one batch, and the bits do not depend on their number.

    Attributes:
        config: what it is, but for its weights.
        session: ONNX Runtime's session of the network.
        threads: how many batches are computed at a time.
    """

    config: Config
    session: Any
    threads: int

    @property
    def task(self) -> Task:
        """The columns it reads and the classes it tells apart."""
        return self.config.task

    @property
    def encoding(self) -> Encoding:
        """The words, pieces or features it knows."""
        return self.config.encoding

    def outputs(self, rows: pa.Table | pa.RecordBatch) -> Outputs:
        """The logits or embeddings, (B, C), of B rows; their order and company change nothing but the last bits."""
        return self.run(self.encoding.encode([rows[name] for name in self.task.inputs]))

    def run(self, inputs: Inputs) -> Outputs:
        """The logits or embeddings, (N, C), of N rows that the encoding has encoded."""

        def answer(*arrays: Array) -> Array:
            return self.answer(inputs.names, arrays)

        rows, width = np.arange(len(inputs)), self.config.width
        if self.threads == 1 or len(inputs) == 1:
            return outputs_of(inputs, rows, width, BATCH_TOKENS, answer)
        with ThreadPoolExecutor(self.threads) as pool:
            return outputs_of(inputs, rows, width, BATCH_TOKENS, answer, pool.map)

    def answer(self, names: tuple[str, ...], arrays: tuple[Array, ...]) -> Outputs:
        """(B, C) of one batch, as ``Inputs.batch`` gives it, in the thread that asks."""
        # An input for which the network has no use is not in the graph.
        known = [each.name for each in self.session.get_inputs()]
        feed = {name: array for name, array in zip(names, arrays, strict=True) if name in known}
        outputs: Outputs = self.session.run([OUTPUT], feed)[0]
        return outputs

    @classmethod
    def load(cls, file: Path | str, threads: int | None = None) -> OnnxStudent:
        """The student in a file that ``export`` wrote; ``threads`` are as many as there are cores.

        Raises:
            StillhouseError: there is none, it is of a newer format, or ONNX Runtime is not installed.
        """
        if not Path(file).is_file():
            raise StillhouseError(f"{file}: must be a student's ONNX file, got no file there")
        return cls._open(str(file), str(file), threads)

    @classmethod
    def of(cls, data: bytes, threads: int | None = None) -> OnnxStudent:
        """The student that a file's bytes hold; raises as ``load`` does."""
        return cls._open(data, "onnx", threads)

    @classmethod
    def _open(cls, model: bytes | str, where: str, threads: int | None) -> OnnxStudent:
        if threads is not None:
            check_whole("threads", threads, 1)
        session = _session(model, where)
        config = _config(session.get_modelmeta().custom_metadata_map, where)
        return cls(config, session, threads or cores())


def metadata(config: Config) -> dict[str, str]:
    """What a file holds beside the network, by name: all that ``Config.read`` needs."""
    found = {CONFIG: json.dumps(config.to_json(), ensure_ascii=False)}
    for name, data in config.encoding.files().items():
        try:
            found[TEXT + name] = data.decode()
        except UnicodeDecodeError:
            found[BINARY + name] = base64.b64encode(data).decode()
    return found


def _config(stored: Mapping[str, str], where: str) -> Config:
    if CONFIG not in stored:
        raise StillhouseError(
            f"{where}: must be a student's ONNX file, written by `stillhouse export`, got one of something else"
        )

    def read_file(name: str) -> bytes:
        if BINARY + name in stored:
            return base64.b64decode(stored[BINARY + name])
        if TEXT + name in stored:
            return stored[TEXT + name].encode()
        raise StillhouseError(f"{where}: must hold {name}, got an ONNX file without it")

    try:
        described = parse_json(stored[CONFIG])
    except ValueError as error:
        raise StillhouseError(f"{where}: {CONFIG} must be JSON: {error}") from None
    return Config.read(described, read_file, where)


def _session(model: bytes | str, where: str) -> Any:
    check_installed(PACKAGES[-1:])
    ort = runtime()

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # it keeps a plan for every shape it has seen, which is no faster and grows
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no narrower class
        reason = str(error).strip().splitlines()[0][:200]
        raise StillhouseError(f"{where}: must be an ONNX file that ONNX Runtime can read, got: {reason}") from None
