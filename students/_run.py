"""A training run: its batches, its steps, its epochs, and the checkpoints between them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.func import functional_call
from tqdm import tqdm
from xxhash import xxh3_128_hexdigest

from transferset import StillhouseError
from transferset.errors import OccupiedError
from transferset.files import write_file

from ._dataset import Examples
from ._sealed import read_sealed, write_sealed
from ._tokens import PAD
from ._word_adam import BETAS, EPSILON, WordAdam
from .encoding import Rows
from .objectives import Objective
from .training import Training

#: Seconds between checkpoints inside an epoch; one more is written at its end.
CHECKPOINT_SECONDS = 120.0
_TABLE = "vectors.weight"


class Run:
    """The state of a training run between steps.

    The batches of an epoch are a function of the seed and the epoch, and dropout one of the seed, the epoch and the
    step, so a checkpoint needs no state of a generator.
    """

    def __init__(
        self, model: nn.Module, training: Training, objective: Objective, seed: int, examples: Examples, rows: Rows
    ) -> None:
        self.model, self.training, self.objective, self.seed, self.examples = model, training, objective, seed, examples
        self.rows, self.lengths = rows, examples.inputs.lengths[rows]
        named = dict(model.named_parameters())
        table = named.pop(_TABLE, None)
        self.reads_words = table is not None
        # A dense step over the table would cost more than all the rest.
        self.words = None if table is None or training.freeze_vectors else WordAdam(table.detach())
        self.others = list(named.values())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [each for each in self.others if each.ndim > 1], "weight_decay": training.weight_decay},
                {"params": [each for each in self.others if each.ndim <= 1], "weight_decay": 0.0},
            ],
            betas=BETAS,
            eps=EPSILON,
            fused=True,
        )
        # What lies between word vectors and the last layers alone: outputs of three digits would be too coarse.
        encodes = self.reads_words and any(True for _ in getattr(model, "encoder", model).parameters())
        self.dtype = fast_dtype(training.dtype if encodes else "float32")
        self.steps_per_epoch = math.ceil(len(rows) / training.batch_size)
        self.epochs = training.epochs_for(len(rows))
        self.epoch, self.step, self.loss_sum, self.seconds = 0, 0, 0.0, 0.0
        self.best_epoch, self.history = 0, list[dict[str, float]]()
        self.best: dict[str, Tensor] = {}
        #: The epochs and steps that the last checkpoint has.
        self.saved: tuple[int, int] | None = None

    def train_epoch(
        self, progress: bool, folder: Path, made_from: Mapping[str, Any], tick: Callable[[int], object] = int
    ) -> None:
        """One pass over the rows, or what is left of it; a checkpoint every two minutes.

        ``tick`` is told of the rows of each step, whoever may want to count them.
        """
        title = f"epoch {self.epoch + 1}/{self.epochs}"
        batches, seeds = self._batches()
        done = sum(map(len, batches[: self.step]))
        started = saved = time.monotonic()
        before = self.seconds
        self.model.train()
        bar = tqdm(desc=title, total=len(self.rows), initial=done, unit=" rows", unit_scale=True, disable=not progress)
        with bar, torch.random.fork_rng(devices=[]):
            while self.step < len(batches):
                rows = batches[self.step]
                # torch.manual_seed would seed the generators of all devices.
                torch.default_generator.manual_seed(int(seeds[self.step]))
                loss = self._take_step(rows)
                self.loss_sum += loss * len(rows)
                self.step += 1
                done += len(rows)
                bar.update(len(rows))
                tick(len(rows))
                bar.set_postfix(loss=f"{self.loss_sum / done:.4f}", refresh=False)
                self.seconds = before + time.monotonic() - started
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self._check_weights(rows)
                    self.checkpoint(folder, made_from)
                    saved = time.monotonic()
        self._check_weights(batches[-1])
        self.epoch += 1
        self.history.append({"epoch": self.epoch, "loss": self.loss_sum / len(self.rows)})
        self.step, self.loss_sum = 0, 0.0

    def note(self, dev: Mapping[str, float], metric: str, lower: bool) -> None:
        """Adds the dev metrics to the history, and keeps the weights if ``metric`` is the best so far."""
        self.history[-1].update(dev)
        best = self.history[self.best_epoch - 1] if self.best_epoch else None
        if dev and best is not None:
            now, before = self.history[-1][metric], best[metric]
            # What is no number is worse than any.
            if not (now < before if lower else now > before) and not (math.isnan(before) and not math.isnan(now)):
                return
        self.best_epoch = self.epoch
        self.best = {key: each.detach().clone() for key, each in self.model.state_dict().items()}

    @property
    def precision(self) -> str:
        """``float32`` or ``bfloat16``: what it really computes in."""
        return str(self.dtype).removeprefix("torch.")

    def is_over(self) -> bool:
        """Whether all epochs are done, or as many without a better one as patience allows."""
        patience = self.training.patience
        waited = patience is not None and self.epoch - self.best_epoch >= patience
        return self.epoch >= self.epochs or waited

    def _batches(self) -> tuple[list[Rows], npt.NDArray[np.unsignedinteger[Any]]]:
        """Rows of one length together, as nearly as can be, in random order, every row once; and a seed for each."""
        random = np.random.default_rng((self.seed, self.epoch))
        shuffled = random.permutation(len(self.rows))
        order = self.rows[shuffled[np.argsort(self.lengths[shuffled], kind="stable")]]
        cuts = np.arange(self.training.batch_size, len(order), self.training.batch_size)
        batches = np.split(order, cuts)
        seeds = np.random.SeedSequence((self.seed, self.epoch)).generate_state(len(batches), np.uint64)
        return [batches[place] for place in random.permutation(len(batches))], seeds

    def _take_step(self, rows: Rows) -> float:
        examples, number = self.examples, self.epoch * self.steps_per_epoch + self.step
        outputs, words, vectors = self._forward(rows)
        loss = self.objective.loss(outputs, *examples.targets(rows))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise self._exploded(f"loss must be finite, got {value} in epoch {self.epoch + 1}, batch {self.step + 1}")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        rate = self.training.rate(number, self.epochs * self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self.words is not None and vectors is not None and vectors.grad is not None:
            self.words.step(words, vectors.grad, rate, number + 1)
        return value

    def _check_weights(self, rows: Rows) -> None:
        """Raises StillhouseError where the weights, or what they answer to some rows, are no numbers."""
        self.model.eval()
        with torch.no_grad():
            outputs = self.model(*map(torch.from_numpy, self.examples.inputs.batch(rows)))
            found = [outputs, *self.model.parameters()]
        self.model.train()
        if not all(bool(torch.isfinite(each).all()) for each in found):
            where = f"epoch {self.epoch + 1}, batch {self.step}"
            raise self._exploded(f"weights and outputs must be finite, got nan or infinity after {where}")

    def _exploded(self, what: str) -> StillhouseError:
        advice = "nothing is kept; try a lower --learning-rate"
        if self.saved is not None:
            epoch, step = self.saved
            after = f"epoch {epoch + 1}, batch {step}" if step else f"epoch {epoch}"
            advice = f"the checkpoint after {after} is kept; try a lower --learning-rate with --force"
        return StillhouseError(f"train: {what}: {advice}")

    def _forward(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        """The outputs; and of students with word vectors the batch's distinct words and their vectors, a leaf."""
        batch = self.examples.inputs.batch(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            if not self.reads_words:
                return self.model(*map(torch.from_numpy, batch)), torch.zeros(0), None
            words, places = _distinct(batch[::2])
            numbers = torch.from_numpy(words)
            vectors = self.model.get_parameter(_TABLE).detach()[numbers]
            vectors.requires_grad_(self.words is not None)
            inputs = [torch.from_numpy(each) for pair in zip(places, batch[1::2], strict=True) for each in pair]
            return functional_call(self.model, {_TABLE: vectors}, tuple(inputs)), numbers, vectors

    def checkpoint(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        """Writes the state; the JSON file names the tensor file, so the two always fit."""
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        tensors |= {f"best.{name}": each for name, each in self.best.items()}
        steps = 0.0
        for place, each in enumerate(self.others):
            state = self.optimizer.state.get(each, {})
            tensors |= {f"moment.{place}.{name}": state[name] for name in ("exp_avg", "exp_avg_sq") if name in state}
            steps = float(state.get("step", steps))
        if self.words is not None:
            tensors |= {"moment.words.first": self.words.first, "moment.words.second": self.words.second}
        file = f"epoch-{self.epoch}-{self.step}.safetensors"
        data = save({name: each.contiguous() for name, each in tensors.items()})
        write_file(folder / file, data)
        state_record = {
            "file": file,
            "tensors": xxh3_128_hexdigest(data),
            "made_from": made_from,
            "epoch": self.epoch,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "seconds": self.seconds,
            "best_epoch": self.best_epoch,
            "history": self.history,
            "steps": steps,
            "dtype": self.precision,
        }
        write_sealed(folder / "state.json", state_record)
        self.saved = self.epoch, self.step
        for old in folder.glob("epoch-*.safetensors"):
            if old.name != file:
                old.unlink()

    def resume(self, folder: Path, made_from: Mapping[str, Any]) -> None:
        """Takes up the last checkpoint, if there is one of the same run; raises as ``read_state``."""
        record = read_state(folder, made_from)
        if record is None:
            return
        try:
            data = (folder / record["file"]).read_bytes()
            if xxh3_128_hexdigest(data) != record["tensors"]:
                raise ValueError(f"{record['file']} must have the checksum in state.json, got another")
            self._take_up(record, load(data))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise _no_checkpoint(folder, error) from None

    def _take_up(self, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(_under(tensors, "model."))
        self.best = _under(tensors, "best.")
        for place, each in enumerate(self.others):
            if moments := _under(tensors, f"moment.{place}."):
                self.optimizer.state[each] = {**moments, "step": torch.tensor(float(record["steps"]))}
        if self.words is not None:
            self.words.first, self.words.second = tensors["moment.words.first"], tensors["moment.words.second"]
        self.dtype = fast_dtype(record["dtype"])
        self.epoch, self.step, self.loss_sum = record["epoch"], record["step"], record["loss_sum"]
        self.best_epoch, self.history, self.seconds = record["best_epoch"], record["history"], record["seconds"]
        self.saved = self.epoch, self.step


def read_state(folder: Path, made_from: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the last checkpoint says but for its tensors; None where there is none.

    Raises:
        StillhouseError: it is another run's, or damaged.
    """
    try:
        record = read_sealed(folder / "state.json")
        same = record["made_from"] == json.loads(json.dumps(made_from))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_checkpoint(folder, error) from None
    if not same:
        raise OccupiedError(
            f"{folder.parent}: must be empty or the same training run, got another's checkpoint:"
            " use another --out or --force"
        )
    return record


def _no_checkpoint(folder: Path, error: Exception) -> StillhouseError:
    return StillhouseError(f"{folder}: must be a checkpoint: {error}: delete it to start again")


def fast_dtype(name: str) -> torch.dtype:
    """The precision by name; ``auto`` is bfloat16 where the processor multiplies in it, else float32."""
    if name == "auto":
        able = torch.cpu.get_capabilities()
        name = "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16") else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _distinct(sides: tuple[npt.NDArray[np.int64], ...]) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.int64]]]:
    """The distinct words of some matrices, padding first, and the matrices with places among them for words."""
    flat = np.concatenate([[PAD], *(each.ravel() for each in sides)])
    words, places = np.unique(flat, return_inverse=True)
    ends = np.cumsum([each.size for each in sides])[:-1]
    return words, [part.reshape(each.shape) for part, each in zip(np.split(places[1:], ends), sides, strict=True)]


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
