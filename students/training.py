"""How a student is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from transferset import StillhouseError, unknown
from transferset.parameters import check_at_least, check_share

SCHEDULES = ("linear", "cosine", "constant")
MONITORS = (
    "",
    "loss",
    "accuracy",
    "f1",
    "f1_micro",
    "f1_macro",
    "mcc",
    "pearson",
    "spearman",
    "mse",
    "agreement",
    "cosine",
)
#: Without a wish: large sets are seen so often, small ones until so many steps are made.
LEAST_EPOCHS, LEAST_STEPS = 4, 1_000
DTYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Training:
    """How a student is trained: Adam, a short warm-up, then a rate that falls to zero.

    Tang et al. 2019 train with Adadelta in batches of 50 for 30 epochs; with these settings four epochs of a set that
    has six copies of each text come within two points of the teacher on SST-2 (``benchmarks/RESULTS.md``).

    Raises:
        StillhouseError: a value out of range.
    """

    epochs: Annotated[int | None, "passes over the rows  [default: 4, or as many as make 1,000 steps]"] = None
    batch_size: Annotated[int, "rows in a step"] = 256
    learning_rate: Annotated[float, "highest rate of Adam"] = 2e-3
    schedule: Annotated[str, "how the rate falls after the warm-up: linear, cosine, or constant"] = "linear"
    warmup: Annotated[float, "share of the steps in which the rate rises, 0 to 1"] = 0.02
    weight_decay: Annotated[float, "decoupled weight decay of all weights but word vectors and biases"] = 0.0
    freeze_vectors: Annotated[bool, "whether the word vectors stay as they start"] = False
    dtype: Annotated[str, "precision of recurrent layers and convolutions: auto, float32 or bfloat16"] = "auto"
    copies: Annotated[int | None, "copies of each source row to train on  [default: all]"] = None
    augmenters: Annotated[
        str | None, "rules whose copies take part, such as mask,pos; none for the originals alone  [default: all]"
    ] = None
    holdout: Annotated[float, "share of the source rows held out, with their copies, to watch instead of --dev"] = 0.0
    monitor: Annotated[
        str, "dev metric that decides which epoch is kept; loss is the objective's  [default: accuracy or its like]"
    ] = ""
    patience: Annotated[int | None, "epochs without a better dev metric after which to stop  [default: never]"] = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "copies", "patience"):
            value = getattr(self, name)
            if value is not None:
                check_at_least(f"train: {name.replace('_', '-')}", value, 0 if name == "copies" else 1)
        if not 0 < self.learning_rate < math.inf:
            raise StillhouseError(f"train: learning-rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise StillhouseError(f"train: weight-decay must be at least 0, got {self.weight_decay}")
        check_share("train: warmup", self.warmup)
        if not 0 <= self.holdout < 1:
            raise StillhouseError(f"train: holdout must be at least 0 and below 1, got {self.holdout}")
        for name, known in (("schedule", SCHEDULES), ("dtype", DTYPES), ("monitor", MONITORS)):
            if getattr(self, name) not in known:
                raise unknown(f"train: {name}", getattr(self, name), [each for each in known if each])

    def epochs_for(self, rows: int) -> int:
        """The epochs over so many rows: those asked for, or enough for a small set too.

        >>> Training().epochs_for(1_000_000), Training().epochs_for(10_000), Training(epochs=1).epochs_for(10)
        (4, 25, 1)
        """
        return self.epochs or max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / math.ceil(rows / self.batch_size)))

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, from 0, of so many.

        >>> training = Training(learning_rate=1.0, warmup=0.5)
        >>> [round(training.rate(step, 4), 2) for step in range(4)]
        [0.5, 0.75, 0.5, 0.25]
        """
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * steps))
        done = step / steps
        falling = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}[self.schedule]
        return self.learning_rate * rising * falling
