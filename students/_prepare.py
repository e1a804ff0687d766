"""Makes the data set that students are trained on, in one streaming pass over a transfer set and its cache."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from transferset import (
    Ensemble,
    Keys,
    LogitCache,
    Source,
    StillhouseError,
    Task,
    TransferSet,
    content_keys,
    keys_from_arrow,
)
from transferset import read_rows as read_source_rows
from transferset.files import check_own, hash_path, write_file, writing
from transferset.vectors import existing_vectors

from ._arrays import write_arrays
from ._config import encoding_to_json
from ._dataset import Dataset, open_dataset
from ._features import learn_features
from ._gold import gold_targets, no_gold
from ._sealed import checksum_of, read_sealed, write_sealed
from ._subwords import Subwords
from ._vectors import known_vectors, teacher_tokenizer, teacher_words
from ._words import Vocabulary, learn_vocabulary
from .encoding import Array, Encoding
from .objectives import Output
from .reading import Reading


def describe_sources(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    reading: Reading,
    signal: Output,
    dev: Source | None,
    dev_label: str | None,
) -> dict[str, Any]:
    """What a data set is made from, as plain values; the same values mean the same data.

    Raises:
        StillhouseError: no such file of vectors.
    """
    return {
        "transfer": transfer.store.about,
        "cache": cache.about,
        "reading": {} if transfer.task.kind == "features" else _describe_reading(reading),
        "signal": signal,
        "dev": None if dev is None else _describe_dev(dev, dev_label),
    }


def _describe_reading(reading: Reading) -> dict[str, Any]:
    if reading.vectors in ("teacher", "random"):
        return asdict(reading)
    return {**asdict(reading), "vectors_content": hash_path(existing_vectors(reading.vectors))}


def _describe_dev(dev: Source, label: str | None) -> dict[str, Any]:
    how = {"quote": dev.quote, "header": dev.header, "encoding": dev.encoding}
    return {"name": dev.path.name, "content": dev.content(), "label": label, **how}


def prepare(
    folder: Path,
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    reading: Reading,
    signal: Output,
    dev: Source | None = None,
    dev_label: str | None = None,
    progress: bool = False,
) -> Dataset:
    """The data set in a folder, made now, or opened where the same was made before.

    Raises:
        StillhouseError: rows or a signal that the cache lacks, a dev file that does not fit, no rows.
    """
    made_from = json.loads(json.dumps(describe_sources(transfer, cache, reading, signal, dev, dev_label)))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = read_sealed(folder / "dataset.json")
        if _is_of(record, made_from, cache) and record["files"] == _files(folder):
            return open_dataset(folder)
    check_own(folder)
    with writing(folder):
        # Before any array is written over: one that is killed now must not leave the description of another.
        (folder / "dataset.json").unlink(missing_ok=True)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    task = _task(transfer, cache, signal)
    teacher = _teacher(folder, transfer, cache, task, signal)
    encoding = _learn_encoding(transfer, cache, reading)
    width = task.outputs if signal == "logits" else cache.widths[signal]
    dev_columns = None if dev is None else _dev_columns(dev, dev_label, task, encoding, cache, signal)
    known, vectors = np.zeros(0, np.int64), np.zeros((0, 1), np.float32)
    if isinstance(encoding, Vocabulary | Subwords):
        known, vectors = known_vectors(reading.vectors, encoding, cache.teacher_folder)
    names: list[str] = []
    with writing(folder):
        arrays = {
            "train": write_arrays(folder, "train", _train_columns(transfer, task, encoding, teacher, names, progress)),
            "words": write_arrays(folder, "words", [{"known": known, "vectors": vectors}]),
        }
        if dev_columns is not None:
            arrays["dev"] = write_arrays(folder, "dev", [dev_columns])
    for name, data in encoding.files().items():
        write_file(folder / name, data)
    record = {
        "made_from": made_from,
        "task": task.to_json(),
        "encoding": encoding_to_json(encoding),
        "signal": signal,
        "width": width,
        "rules": names,
        "arrays": arrays,
        "cache_rows": _rows_of(cache),
        "teacher": str(cache.store.made_with.get("teacher", "")),
        "files": _files(folder),
    }
    write_sealed(folder / "dataset.json", record)
    return open_dataset(folder)


def _files(folder: Path) -> dict[str, str]:
    """The checksums of all that a data set's description speaks of, by name."""
    return {file.name: checksum_of(file) for file in sorted(folder.iterdir()) if file.name != "dataset.json"}


def _is_of(record: Mapping[str, Any], made_from: Mapping[str, Any], cache: LogitCache | Ensemble) -> bool:
    """Whether a data set is that of the sources; rows of a dev file that had no answers then may have them now."""
    without = "dev" in record["arrays"] and "teacher" not in record["arrays"]["dev"]
    same: bool = record["made_from"] == made_from and not (without and record["cache_rows"] != _rows_of(cache))
    return same


def _rows_of(cache: LogitCache | Ensemble) -> int:
    return sum(each.store.rows() for each in (cache.caches() if isinstance(cache, Ensemble) else [cache]))


def _task(transfer: TransferSet, cache: LogitCache | Ensemble, signal: Output) -> Task:
    """The transfer set's task; an unlabelled one takes the teacher's classes."""
    task = transfer.task
    return task if task.classes or signal != "logits" else replace(task, classes=cache.classes)


def _learn_encoding(transfer: TransferSet, cache: LogitCache | Ensemble, reading: Reading) -> Encoding:
    task = transfer.task
    if task.kind == "features":
        return learn_features(transfer.tables(task.inputs), task)
    if reading.tokens == "pieces":
        return Subwords(teacher_tokenizer(cache.teacher_folder), reading.max_tokens)
    # Words that only the teacher knows keep its vector: few labelled texts leave most words of new texts unseen.
    more = teacher_words(cache.teacher_folder, reading.lowercase) if reading.vectors == "teacher" else ()
    texts = (table[name] for table in transfer.tables(task.inputs) for name in task.inputs)
    return learn_vocabulary(texts, transfer.mask_token, reading.lowercase, reading.most_words, more, reading.max_tokens)


def _teacher(
    folder: Path, transfer: TransferSet, cache: LogitCache | Ensemble, task: Task, signal: Output
) -> Callable[[Keys], Array]:
    """What the teacher said of rows by their keys; here it is checked that it spoke of all rows."""
    cache.check_signals([signal])
    order = cache.order(task) if signal == "logits" else slice(None)
    keys = [np.zeros((0, 2), np.uint64), *(keys_from_arrow(table["key"]) for table in transfer.tables(["key"]))]
    if not any(map(len, keys)):
        raise StillhouseError("train: the transfer set must hold rows, got none")
    reader = cache.reader([signal], folder)
    reader.check(np.concatenate(keys))
    return lambda keys: reader.rows(keys)[signal][:, order]


def _train_columns(
    transfer: TransferSet,
    task: Task,
    encoding: Encoding,
    teacher: Callable[[Keys], Array],
    names: list[str],
    progress: bool,
) -> Iterator[dict[str, Array]]:
    """The rows of the transfer set, a part at a time; ``names`` gathers the rules that are met."""
    label = [task.label] if task.label is not None else []
    total = transfer.store.rows()
    with tqdm(desc="reading", total=total, unit=" rows", unit_scale=True, disable=not progress) as bar:
        for table in transfer.tables([*task.inputs, *label, "key", "source", "copy", "edits"]):
            gold, has_gold = gold_targets(table[task.label], task) if label else no_gold(task, len(table))
            yield {
                **encoding.encode([table[name] for name in task.inputs]).columns(),
                "teacher": teacher(keys_from_arrow(table["key"])),
                "gold": gold,
                "has_gold": has_gold,
                "source": table["source"].to_numpy(),
                "copy": table["copy"].to_numpy(),
                "rules": _rules(table["edits"], names),
            }
            bar.update(len(table))


def _rules(edits: pa.ChunkedArray, names: list[str]) -> npt.NDArray[np.uint64]:
    """(B,) which rules edited each row, a bit for each; rules met for the first time are added to ``names``."""
    lists = edits.combine_chunks()
    rules = pc.struct_field(pc.list_flatten(lists), "rule").cast(pa.string())
    names += [name for name in pc.unique(rules).to_pylist() if name not in names]
    if len(names) > 64:
        raise StillhouseError(f"train: a transfer set must have at most 64 rules, got {len(names)}")
    found = np.zeros(len(lists), np.uint64)
    codes = pc.index_in(rules, value_set=pa.array(names, pa.string())).to_numpy().astype(np.uint64)
    np.bitwise_or.at(found, pc.list_parent_indices(lists).to_numpy(), np.uint64(1) << codes)
    return found


def _dev_columns(
    dev: Source,
    label: str | None,
    task: Task,
    encoding: Encoding,
    cache: LogitCache | Ensemble,
    signal: Output,
) -> dict[str, Array]:
    """The rows of a dev file, with what the teacher said where the cache has all of them."""
    from .evaluate import read_labelled

    if signal == "logits":
        table = read_labelled(dev, replace(task, label=label or task.label), encoding.types)
        gold, has_gold = gold_targets(table[label or task.label], task)
    else:
        batches = list(read_source_rows(dev, replace(task, label=None), encoding.types))
        table = pa.Table.from_batches(batches) if batches else None
        if table is None or not len(table):
            raise StillhouseError(f"{dev.path}: must hold at least one row, got none")
        gold, has_gold = no_gold(task, len(table))
    columns = encoding.encode([table[name] for name in task.inputs]).columns()
    found: dict[str, Array] = {**columns, "gold": gold, "has_gold": has_gold}
    keys = content_keys(task, table)
    if isinstance(cache, LogitCache) and signal != "logits":
        return {**found, "teacher": cache.signal(signal, keys)}  # of an embedding there is nothing else to watch
    with contextlib.suppress(StillhouseError):
        found["teacher"] = cache.logits(keys, task)
    return found
