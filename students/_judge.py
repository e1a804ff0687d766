"""Measures a student while it is trained: on a dev file, or on rows held out of the transfer set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from transferset import StillhouseError

from ._dataset import Dataset, rows_to_train
from .encoding import Rows
from .metrics import agreement, main_metric, scores
from .objectives import Objective
from .training import Training

if TYPE_CHECKING:
    from .student import Student


class Judge:
    """The rows to watch, what is measured on them, and which rows are left to train on.

    Attributes:
        metric: the one that says which epoch is best, as it stands in the history.
        lower: whether less of it is better.
        rows_left: the rows to train on, none of whose sources is watched.

    Raises:
        StillhouseError: no rows to watch where there must be, or a metric that they do not give.
    """

    def __init__(self, data: Dataset, objective: Objective, training: Training) -> None:
        self.objective, self.task, self.signal = objective, data.task, data.signal
        rows = rows_to_train(data, objective.needs_gold, training.copies, training.augmenters)
        self.examples, self.rows, self.rows_left = data.dev, np.zeros(0, np.int64), rows
        if data.dev is not None and training.holdout:
            raise StillhouseError(f"train: holdout must be 0 where there is a dev file, got {training.holdout}")
        if data.dev is not None:
            self.rows = np.arange(len(data.dev.inputs))
        elif training.holdout:
            held = _held_out(data, training.holdout)
            # Of a source that is watched no copy is trained on.
            self.examples, self.rows = data.train, np.flatnonzero(held & (data.copy == 0))
            self.rows_left = rows[~held[rows]]
        if self.examples is not None and not (len(self.rows) and len(self.rows_left)):
            raise StillhouseError(
                f"train: holdout must leave rows to watch and rows to train on, got {len(self.rows)} and"
                f" {len(self.rows_left)}"
            )
        known = self._known()
        self.metric = f"dev_{training.monitor or self._main(known)}"
        self.lower = self.metric in ("dev_loss", "dev_mse")
        if self.examples is None and (training.patience is not None or training.monitor):
            raise StillhouseError(
                "train: patience and monitor must have rows to watch, got none: give --dev FILE or --holdout SHARE"
            )
        if self.examples is not None and self.metric.removeprefix("dev_") not in known:
            raise StillhouseError(
                f"train: monitor must be one of {', '.join(known)}, got {training.monitor!r}: loss and agreement need"
                " what the teacher says of the dev rows: label them too, with the same --out"
            )

    def measure(self, student: Student) -> dict[str, float]:
        """The metrics that there are labels or a teacher for."""
        if self.examples is None:
            return {}
        outputs = student.run(self.examples.inputs, self.rows)
        return {f"dev_{name}": value for name, value in self._metrics(outputs, self.rows).items()}

    def _metrics(self, outputs: npt.NDArray[np.float32], rows: Rows) -> dict[str, float]:
        examples, found = self.examples, dict[str, float]()
        if examples is None:
            return found
        teacher, gold, has_gold = examples.targets(rows)
        if examples.teacher is not None or self.objective.needs_gold:
            found["loss"] = float(self.objective.loss(torch.from_numpy(outputs), teacher, gold, has_gold))
        if self.signal == "embedding":
            found["cosine"] = float(torch.cosine_similarity(torch.from_numpy(outputs), teacher).mean())
            return found
        if has_gold.any():
            there = has_gold.numpy()
            found |= scores(outputs[there], gold.numpy()[there], self.task)
        if examples.teacher is not None:
            found["agreement"] = agreement(outputs, teacher.numpy(), self.task)
        return found

    def _known(self) -> list[str]:
        """The names of the metrics, from one row of zeros: a wrong name is said now and not after an epoch."""
        if self.examples is None:
            return []
        labelled = self.rows[self.examples.has_gold[self.rows]]
        few = (labelled if len(labelled) else self.rows)[:1]
        width = self.task.outputs if self.signal == "logits" else self.examples.targets(few)[0].shape[1]
        return list(self._metrics(np.zeros((1, width), np.float32), few))

    def _main(self, known: list[str]) -> str:
        main = main_metric(self.task)
        return "cosine" if self.signal == "embedding" else main if main in known else "agreement"


def _held_out(data: Dataset, share: float) -> npt.NDArray[np.bool_]:
    """(N,) the rows of a share of the sources, the same for students of all seeds, so that they can be compared."""
    sources = int(data.source.max(initial=-1)) + 1
    return np.asarray((np.random.default_rng(1).random(sources) < share)[data.source])
