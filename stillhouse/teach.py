"""A teacher for those who have none yet: a pretrained encoder, fine-tuned on the rows that have a label."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from transferset import Source, StillhouseError, Task
from transferset.files import file_lock, write_file
from transferset.parameters import check_at_least, check_share, check_whole
from transferset.pretrained import fingerprint

from ._hub import model_folder
from ._labelled import Examples, check_distinct, labelled, parted

#: What teaching leaves beside the model, and what of it says that a directory is whole.
RECORD = "teaching.json"


@dataclass(frozen=True)
class Teaching:
    """How a pretrained model is fine-tuned: AdamW, a warm-up, then a rate that falls to zero.

    Source: Devlin et al. 2019 (arXiv 1810.04805), appendix A.3, for batches and rates; Mosbach et al. 2021 (arXiv
    2006.04884) for more epochs and a warm-up of a tenth of the steps where there are few rows.

    >>> Teaching(epochs=3).learning_rate
    5e-05

    Raises:
        StillhouseError: a value out of range.
    """

    epochs: Annotated[int, "passes over the labelled rows"] = 10
    batch_size: Annotated[int, "rows in a step"] = 16
    learning_rate: Annotated[float, "highest rate of AdamW"] = 5e-5
    warmup: Annotated[float, "share of the steps in which the rate rises, 0 to 1"] = 0.1
    weight_decay: Annotated[float, "decoupled weight decay of all weights but norms and biases"] = 0.01
    max_length: Annotated[int | None, "most tokens of a row  [default: as many as the model takes]"] = None
    holdout: Annotated[float, "share of the labelled rows held out, to keep the epoch that does best on them"] = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            check_whole(f"teach: {name.replace('_', '-')}", getattr(self, name), 1)
        if not 0 < self.learning_rate < math.inf:
            raise StillhouseError(f"teach: learning-rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise StillhouseError(f"teach: weight-decay must be at least 0, got {self.weight_decay}")
        check_share("teach: warmup", self.warmup)
        if not 0 <= self.holdout < 1:
            raise StillhouseError(f"teach: holdout must be at least 0 and below 1, got {self.holdout}")
        if self.max_length is not None:
            check_whole("teach: max-length", self.max_length, 1)


@dataclass(frozen=True)
class Taught:
    """What a teacher was made of, and how good it is.

    Attributes:
        task: the columns, and the classes in the order of its logits.
        rows: labelled rows that it learned from.
        unlabelled: rows without a label, which were left out.
        watched: labelled rows that it was measured on after each epoch; 0 where there were none.
        history: the metrics of each epoch on these, such as ``dev_accuracy``.
        best_epoch: the epoch that was kept, from 1: the best on these, or the last.
    """

    task: Task
    rows: int
    unlabelled: int
    watched: int
    history: list[dict[str, float]]
    best_epoch: int


def teach(
    source: Source,
    task: Task,
    model: str,
    out: Path | str,
    teaching: Teaching | None = None,
    seed: int = 0,
    dev: Source | None = None,
    force: bool = False,
    progress: bool = False,
) -> Taught:
    """Fine-tunes ``model``, a directory or hub name, on a source's labelled rows; saved in ``out`` whole or not.

    ``out`` is a Hugging Face sequence classifier with the task's classes and its tokenizer, as ``label`` takes it.
    With ``dev``, or where ``teaching`` holds rows out, the weights of the best epoch are kept; without, the last. Until
    it is done its checkpoints are in ``out`` with ``.unfinished`` after its name; the same call goes on from there,
    and ends in the same weights, to the bit on a processor. ``force`` throws away what another run left there.

    Raises:
        StillhouseError: no labelled rows or one class alone; a dev file with others; no such model; another
            teacher in ``out``, or another's unfinished work beside it; a loss that is not finite.
    """
    teaching, out = teaching or Teaching(), Path(out)
    check_whole("seed", seed, 0)
    check_at_least("seed", 2**32 - 1, seed)
    _check_installed()
    if dev is not None and teaching.holdout:
        raise StillhouseError(f"teach: holdout must be 0 where there is a dev file, got {teaching.holdout}")
    examples, watched = parted(labelled(source, task), teaching.holdout, seed)
    check_distinct(examples)
    if dev is not None:
        watched = labelled(dev, examples.task)
    folder = model_folder(model)
    about = _about(model, folder, examples, watched, teaching, seed)
    if (out / RECORD).is_file():
        return _done(out, about, examples)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StillhouseError(f"{out}: must not be there yet, got something else than a teacher: use another --out")
    with _unfinished(out, about, force) as unfinished:
        from ._fine_tune import fine_tune

        try:
            history, best = fine_tune(folder, examples, watched, teaching, seed, unfinished, progress)
        except StillhouseError:
            shutil.rmtree(unfinished)  # the same run would end in the same mistake
            raise
        _settle(unfinished / "whole", out, {**about, "history": history, "best_epoch": best})
    shutil.rmtree(unfinished)
    return _taught(examples, about, history, best)


def own_names(out: Path | str) -> frozenset[str]:
    """The names in a directory that teaching gave: all of them, if its record is there, and none if not."""
    folder = Path(out)
    return frozenset(each.name for each in folder.iterdir()) if (folder / RECORD).is_file() else frozenset()


def _check_installed() -> None:
    if importlib.util.find_spec("accelerate") is None:
        raise StillhouseError("teach: must have accelerate, got none: run `pip install 'stillhouse[teach]'`")


def _about(
    model: str, folder: Path, examples: Examples, watched: Examples | None, teaching: Teaching, seed: int
) -> dict[str, Any]:
    """What a teacher is made from, as plain values; the same values mean the same weights."""
    import torch
    import transformers

    return {
        "model": model if not Path(model).is_dir() else Path(model).name,
        "weights": fingerprint(str(folder)),
        "task": examples.task.to_json(),
        "rows": len(examples),
        "unlabelled": examples.unlabelled,
        "fingerprint": examples.fingerprint(),
        "watched": len(watched) if watched is not None else 0,
        "watched_fingerprint": watched.fingerprint() if watched is not None else None,
        "teaching": asdict(teaching),
        "seed": seed,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _done(out: Path, about: dict[str, Any], examples: Examples) -> Taught:
    """What the record of the same run says; raises StillhouseError where it is another's."""
    record = _read(out / RECORD)
    if not _same(record, about):
        raise StillhouseError(f"{out}: must be free or of the same run, got another teacher: use --force to replace it")
    return _taught(examples, about, record["history"], record["best_epoch"])


def _taught(examples: Examples, about: dict[str, Any], history: list[dict[str, float]], best: int) -> Taught:
    return Taught(examples.task, about["rows"], about["unlabelled"], about["watched"], history, best)


@contextmanager
def _unfinished(out: Path, about: dict[str, Any], force: bool) -> Iterator[Path]:
    """The directory of a run that is under way, for this process alone."""
    folder = out.with_name(f"{out.name}.unfinished")
    note = folder / "_run" / "about.json"
    if folder.exists() and not (folder / "_run").is_dir():
        raise StillhouseError(f"{folder}: must be what an unfinished run left, got something else: rename it")
    with file_lock(folder / "_run" / "lock", "exclusive"):
        if note.is_file() and not _same(_read(note), about):
            if not force:
                raise StillhouseError(
                    f"{folder}: must be of the same run, got what another left unfinished: run that one again, or"
                    " --force to throw it away"
                )
            for each in [*folder.glob("checkpoint-*"), *folder.glob("whole")]:
                shutil.rmtree(each)
        write_file(note, json.dumps(about).encode())
        yield folder


def _same(record: dict[str, Any], about: dict[str, Any]) -> bool:
    """Whether a record is of the run that ``about`` describes; it may say more."""
    plain = json.loads(json.dumps(about))
    return all(record.get(name, math.nan) == value for name, value in plain.items())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StillhouseError(f"{path}: must be the record of a teacher, got something else: remove it")
    return found


def _settle(whole: Path, out: Path, record: dict[str, Any]) -> None:
    """Gives a finished model its name; an empty directory may be in its place."""
    write_file(whole / RECORD, json.dumps(record, indent=1).encode())
    if out.is_dir():
        out.rmdir()
    whole.rename(out)
