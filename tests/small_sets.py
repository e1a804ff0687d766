"""Transfer sets and logit caches of a few rows, made by hand, and the run of a small student on them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from augment import augment_file
from students import Reading, Training, train
from students.bilstm import Bilstm
from students.objectives.mse import Mse
from transferset import LogitCache, Source, Task, TransferSet, content_keys

CLASSES = ("neg", "pos")
TASK = Task("text", ("text",), "label", classes=CLASSES)
PAIR = Task("pair", ("one", "other"), "label", classes=CLASSES)
SMALL = Bilstm(width=8, hidden=8, vector_width=8)
SHORT = Training(epochs=2, batch_size=16, learning_rate=0.01, dtype="float32")
RANDOM = Reading(vectors="random")
# 50 texts, so that the last batch of 16 is a partial one; each has a word of its own.
TEXTS = [f"own{n} " + " ".join(["good", "film", "bad", "plot"][n % 4 :]) for n in range(50)]
LABELS = [("neg", "pos")[n % 3 == 0] for n in range(50)]


def transfer_set(folder, texts=TEXTS, labels=LABELS, task=TASK, recipe="tang2019", copies=0, **options):
    """Texts, or pairs of them, as a transfer set in ``folder/T``; the file it is made of is ``folder/rows.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    given = [texts] if isinstance(texts[0], str) else list(zip(*texts, strict=True))
    columns = dict(zip(task.inputs, given, strict=True)) | {"label": labels}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    augment_file(Source(folder / "rows.jsonl"), task, folder / "T", recipe, copies, **options)
    return TransferSet.open(folder / "T")


def taught(texts, outputs=2):
    """Logits that tell each text from every other, and are learnable: the first says whether it has ``good``."""
    own = [int(text.split()[0].removeprefix("own")) if text.startswith("own") else hash_of(text) for text in texts]
    logits = np.stack([np.where(["good" in text for text in texts], 2.0, -2.0), np.array(own) / 100], 1)
    return np.concatenate([logits, logits], 1)[:, :outputs].astype(np.float32)


def hash_of(text):
    return sum(text.encode()) % 997


def cache_of(folder, texts, logits=None, task=TASK, classes=None, **signals):
    """A logit cache made by hand; training needs no more than that. ``signals`` are further ones, each (B, width)."""
    given = [texts] if not texts or isinstance(texts[0], str) else list(zip(*texts, strict=True))
    table = pa.table({name: pa.array(each, pa.string()) for name, each in zip(task.inputs, given, strict=True)})
    if logits is None:
        logits = taught([" ".join(row) for row in zip(*given, strict=True)], task.outputs or 2)
    signals = {"logits": np.asarray(logits, np.float32), **signals}
    about = {
        "teacher": "hand",
        "inputs": task.kind,
        "target": task.target,
        "classes": list(task.classes if classes is None else classes),
        "signals": {name: each.shape[1] for name, each in signals.items()},
        "storage": "float32",
    }
    cache = LogitCache.create(folder, about, {})
    cache.append(content_keys(task, table), signals)
    return cache


def feature_set(folder, rows=50):
    """A transfer set of two numbers, a category and gaps, and its cache: the logits are learnable from all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    size, count, kind = random.normal(size=rows), random.integers(0, 9, rows), random.integers(0, 3, rows)
    said = size + count / 4 + kind
    cells = zip(size, count, kind, said > np.median(said), strict=True)
    lines = [f"{a:.3f},{'' if b == 8 else b},{'rgb'[c]},{CLASSES[int(d)]}" for a, b, c, d in cells]
    (folder / "rows.csv").write_text("\n".join(["size,count,kind,label", *lines]) + "\n")
    task = Task("features", ("size", "count", "kind"), "label", classes=CLASSES)
    augment_file(Source(folder / "rows.csv"), task, folder / "T", "munge", copies=0)
    transfer = TransferSet.open(folder / "T")
    about = {"teacher": "hand", "inputs": "features", "target": "classification", "classes": list(CLASSES)}
    cache = LogitCache.create(folder / "L", {**about, "signals": {"logits": 2}, "storage": "float32"}, {})
    table = pa.concat_tables(list(transfer.tables()))
    cache.append(content_keys(transfer.task, table), {"logits": np.stack([-said, said], 1).astype(np.float32)})
    return transfer, cache


def texts_in(transfer):
    return [text for table in transfer.tables(["text"]) for text in table["text"].to_pylist()]


def run(transfer, cache, out, training=SHORT, objective=None, student=SMALL, reading=RANDOM, **options):
    return train(transfer, cache, student, objective or Mse(), out, training, reading, **options)


def weights(out):
    return (out / "model.safetensors").read_bytes()


def untimed(metrics):
    """What a run notes, without how long it took."""
    return {name: value for name, value in metrics.items() if name != "seconds"}


def outputs_of(student, texts):
    return student.outputs(pa.table({"text": pa.array(texts, pa.string())}))
