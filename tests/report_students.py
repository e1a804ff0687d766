"""Students, sweeps, files and caches for a report, made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import torch
from tiny_students import make_student

from students._pool import Record
from students._results import results
from transferset import LogitCache, Source, content_keys

TWO = ("neg", "pos")
TEXTS = ["good film", "a bad plot", "fine", "dull", "fine film", "bad bad bad", "the plot", "fine x", "x", "bad film"]
GOLD = ["pos", "neg", "neg", "", "pos", "pos", "neg", "pos", "neg", "neg"]
HOSTILE = '</script><img src=x onerror="window.hacked=1"><!--\'&amp;'


def history(epochs=3, start=0.5):
    return [
        {"epoch": n, "loss": 1 / n, "dev_accuracy": start + n / 100, "dev_loss": 2 / n} for n in range(1, epochs + 1)
    ]


def made_from(transfer=None, loss="mse", seed=0, **training):
    about = transfer.store.about if transfer else {"source": {"rows": 9, "fingerprint": "f"}, "copies": 2}
    known = {"epochs": 3, "copies": None, "augmenters": None, **training}
    cache = {"teacher": "hand", "classes": list(TWO)}
    return {
        "transfer": about, "cache": cache, "dev": None, "objective": {loss: {"alpha": 0.0}}, "training": known,
        "reading": {"tokens": "words"}, "seed": seed, "torch": "2",
    }  # fmt: skip


def save(folder, student, seed=0, start=0.5, **options):
    """A student in a directory; students of other seeds answer otherwise."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for weights in student.model.parameters():
            weights.add_(torch.randn_like(weights) * 0.3 * (seed > 0))
    record = made_from(seed=seed, **options)
    student = replace(student, config=replace(student.config, made_from=record))
    metrics = {"history": history(start=start), "best_epoch": 2, "rows": 40, "seconds": 1.5}
    student.save(folder, metrics)
    return student


def csv(path, *columns):
    names, cells = [name for name, _ in columns], [each for _, each in columns]
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in zip(*cells, strict=True)]
    path.write_text("\n".join([",".join(names), *map(",".join, quoted)]) + "\n")
    return Source(path)


def cache_of(folder, task, rows, classes, seed=0, **signals):
    random = np.random.default_rng(seed)
    if not signals:
        signals = {"logits": random.normal(size=(len(rows), max(1, len(classes)))).astype(np.float32)}
    widths = {name: each.shape[1] for name, each in signals.items()}
    about = {"classes": list(classes), "signals": widths, "storage": "float32", "target": task.target}
    cache = LogitCache.create(folder, about, {"teacher": "by hand"})
    cache.append(content_keys(task, rows), signals)
    return cache


def sweep(folder, test=None):
    """A sweep of five candidates, as its command leaves it."""
    (folder / "_sweep").mkdir(parents=True)
    records = []
    for name, status, seed in (("a", "done", 1), ("b", "done", 2), ("c", "stopped", 0), ("d", "failed", 0)):
        options = {"student": "bag", "loss": "kl", "seed": seed, "temperature": 3.0}
        known = history(1, 0.4) if status == "stopped" else history()
        record = Record(f"bag-{name * 10}", options, status, known, len(known), 40, 1.0)
        if status == "done":
            save(folder / record.name, make_student(classes=TWO), seed=seed, loss="kl")
        elif status == "failed":
            record = Record(record.name, options, "failed", error=f"train: loss must be finite {HOSTILE}")
        records.append(record)
        (folder / "_sweep" / f"{record.name}.json").write_text(json.dumps({**vars(record)}))
    pq.write_table(results(folder, records, test, None, "dev_accuracy", False), folder / "results.parquet")
    return folder
