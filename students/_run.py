"""A training run: its settings, its data, its epochs, and the checkpoint between them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from tqdm import tqdm

from transferset import StillhouseError
from transferset.files import write_file
from transferset.parameters import check_at_least, check_share

from ._vocabulary import Tokens, Vocabulary
from .objectives import Objective
from .student import write_json

#: Rows that are sorted by length together, in batches: enough to leave little padding, few enough to stay random.
_SORTED_BATCHES = 64


@dataclass(frozen=True)
class Training:
    """How a student is trained: Adam, a short warm-up, then a rate that falls in a line to zero.

    Tang et al. 2019 train with Adadelta in batches of 50 for 30 epochs; with these settings four epochs of a set that
    has six copies of each text come within two points of the teacher on SST-2 (``benchmarks/RESULTS.md``).

    Raises:
        StillhouseError: a value out of range.
    """

    epochs: Annotated[int, "passes over the transfer set"] = 4
    batch_size: Annotated[int, "rows in a step"] = 256
    learning_rate: Annotated[float, "highest rate of Adam"] = 1e-3
    warmup: Annotated[float, "share of the steps in which the rate rises, 0 to 1"] = 0.02
    vectors: Annotated[str, "word vectors to start from: teacher, random, or a GloVe or word2vec file"] = "teacher"
    most_words: Annotated[
        int, "most words that get a vector: the transfer set's, frequent ones first, then the teacher's"
    ] = 30_000
    lowercase: Annotated[bool, "whether words lose their case"] = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "most_words"):
            check_at_least(f"train: {name.replace('_', '-')}", getattr(self, name), 1)
        if not 0 < self.learning_rate < math.inf:
            raise StillhouseError(f"train: learning-rate must be above 0, got {self.learning_rate}")
        check_share("train: warmup", self.warmup)


@dataclass(frozen=True)
class Data:
    """The N rows to train on: tokens, teacher logits (N, C), gold targets, and the words they are made of."""

    tokens: Tokens
    teacher_logits: Tensor
    gold: Tensor
    vocabulary: Vocabulary


class Run:
    """The state of a training run between epochs."""

    def __init__(self, model: nn.Module, training: Training, objective: Objective, seed: int, data: Data) -> None:
        self.model, self.training, self.objective, self.seed, self.data = model, training, objective, seed, data
        vectors = [each for name, each in model.named_parameters() if name == "vectors.weight"]
        others = [each for name, each in model.named_parameters() if name != "vectors.weight"]
        # A step touches only the vectors of its words: a dense step over the table would cost more than the rest.
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Adam(others, lr=training.learning_rate),
            torch.optim.SparseAdam(vectors, lr=training.learning_rate),
        ]
        self.epoch, self.best_epoch, self.history = 0, 0, list[dict[str, float]]()
        self.best: dict[str, Tensor] = {}
        self.steps_per_epoch = math.ceil(len(data.tokens) / training.batch_size)

    def train_epoch(self, progress: bool) -> None:
        """One pass over the data."""
        total, losses = len(self.data.tokens), 0.0
        title = f"epoch {self.epoch + 1}/{self.training.epochs}"
        bar = tqdm(desc=title, total=total, unit=" texts", unit_scale=True, disable=not progress)
        self.model.train()
        with bar, torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, self.epoch)).generate_state(1)[0]))
            for number, rows in enumerate(self._batches()):
                loss = self._step(rows, self.epoch * self.steps_per_epoch + number)
                if not math.isfinite(loss):
                    raise StillhouseError(
                        f"train: loss must be finite, got {loss} in epoch {self.epoch + 1}, batch {number + 1}:"
                        " the last checkpoint is kept; try a lower --learning-rate"
                    )
                losses += loss * len(rows)
                bar.update(len(rows))
                bar.set_postfix(loss=f"{losses / max(1, bar.n or total):.4f}", refresh=False)
        self.epoch += 1
        self.history.append({"epoch": self.epoch, "loss": losses / total})

    def note(self, dev: Mapping[str, float], metric: str) -> None:
        """Adds the dev metrics to the history, and keeps the weights if ``metric`` is the best so far."""
        self.history[-1].update(dev)
        best = self.history[self.best_epoch - 1] if self.best_epoch else None
        if not dev or best is None or self.history[-1][metric] > best[metric]:
            self.best_epoch = self.epoch
            self.best = {key: each.detach().clone() for key, each in self.model.state_dict().items()}

    def _batches(self) -> Iterator[npt.NDArray[np.int64]]:
        """Rows of about equal length together, in random order; every row once."""
        random = np.random.default_rng((self.seed, self.epoch))
        rows, size = random.permutation(len(self.data.tokens)), self.training.batch_size
        batches = []
        for start in range(0, len(rows), size * _SORTED_BATCHES):
            chunk = rows[start : start + size * _SORTED_BATCHES]
            chunk = chunk[np.argsort(self.data.tokens.lengths[chunk], kind="stable")]
            batches += [chunk[first : first + size] for first in range(0, len(chunk), size)]
        return (batches[place] for place in random.permutation(len(batches)))

    def _step(self, rows: npt.NDArray[np.int64], step: int) -> float:
        last = self.training.epochs * self.steps_per_epoch
        rising = (step + 1) / max(1.0, self.training.warmup * last)
        rate = self.training.learning_rate * min(1.0, rising) * (1 - step / last)
        ids, lengths = self.data.tokens.padded(rows)
        logits = self.model(torch.from_numpy(ids), torch.from_numpy(lengths))
        loss = self.objective.loss(logits, self.data.teacher_logits[rows], self.data.gold[rows])
        value = float(loss.detach())
        if math.isfinite(value):
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
        return value

    def checkpoint(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        """Writes the state; the JSON file names the tensor file, so the two always fit."""
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        tensors |= {f"best.{name}": each for name, each in self.best.items()}
        steps = []
        for number, optimizer in enumerate(self.optimizers):
            for place, state in optimizer.state_dict()["state"].items():
                for name in ("exp_avg", "exp_avg_sq"):
                    tensors[f"optimizer.{number}.{place}.{name}"] = state[name]
                steps.append([number, place, float(state["step"])])
        file = f"epoch-{self.epoch}.safetensors"
        write_file(folder / file, save({name: each.contiguous() for name, each in tensors.items()}))
        state_record = {"epoch": self.epoch, "best_epoch": self.best_epoch, "history": self.history, "steps": steps}
        write_json(folder / "state.json", {"file": file, "made_from": made_from, **state_record}, folder)
        for old in folder.glob("epoch-*.safetensors"):
            if old.name != file:
                old.unlink()

    def resume(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        """Takes up the last checkpoint, if there is one of the same run."""
        try:
            record = json.loads((folder / "state.json").read_bytes())
            if record["made_from"] != json.loads(json.dumps(made_from)):
                raise StillhouseError(
                    f"{folder.parent}: must be empty or the same training run, got another's checkpoint:"
                    " use another --out or --force"
                )
            tensors = load((folder / record["file"]).read_bytes())
        except FileNotFoundError:
            return
        except (ValueError, KeyError, SafetensorError) as error:
            if isinstance(error, StillhouseError):
                raise
            raise StillhouseError(f"{folder}: must be a checkpoint: {error}: delete it to start again") from None
        self.model.load_state_dict(_under(tensors, "model."))
        self.best = _under(tensors, "best.")
        for number, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Any]] = {}
            for of, place, step in record["steps"]:
                if of == number:
                    saved = _under(tensors, f"optimizer.{number}.{place}.")
                    whole = isinstance(optimizer, torch.optim.SparseAdam)
                    state[place] = {**saved, "step": int(step) if whole else torch.tensor(step)}
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        self.epoch, self.best_epoch, self.history = record["epoch"], record["best_epoch"], record["history"]


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
