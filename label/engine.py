"""Labels a transfer set: each distinct row once, longest first, into the cache.

The batches are planned over all distinct rows of the transfer set, labelled or not, by length and key. So a run
that was killed and resumed computes the same batches as one that was not, and gets the same logits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm import tqdm

from transferset import Keys, KeySet, LogitCache, StillhouseError, TransferSet, find_keys, keys_from_arrow, sort_keys
from transferset.batches import plan_batches
from transferset.files import claim_directory, directory_lock

from .teacher import Teacher

#: A part is committed after this many rows or seconds, whichever comes first: the most that a kill can lose.
PART_ROWS = 16_384
PART_SECONDS = 30.0


@dataclass(frozen=True)
class Labelled:
    """What a run did: rows in the transfer set, distinct ones, those labelled now, those cut; seconds for the new."""

    rows: int
    distinct: int
    labelled: int
    cut: int
    seconds: float


def label(
    transfer: TransferSet,
    teacher: Teacher,
    out: Path | str,
    name: str = "",
    batch_tokens: int = 2048,
    progress: bool = False,
) -> Labelled:
    """Writes the teacher's logits for every row of a transfer set that the cache in ``out`` lacks.

    Args:
        name: what the manifest calls the teacher.
        batch_tokens: tokens in a forward pass, padding included.

    Raises:
        StillhouseError: other classes, a cache of another teacher, logits that are not finite; what was
            committed stays.
    """
    if batch_tokens < 1:
        raise StillhouseError(f"batch-tokens: must be at least 1, got {batch_tokens}")
    out = Path(out)
    classes = teacher.classes(transfer.task)
    about = {
        **teacher.identity(transfer.mask_token),
        "inputs": transfer.task.kind,
        "target": transfer.task.target,
        "classes": list(classes),
        "outputs": len(classes) or 1,
    }
    claim_directory(out)
    with directory_lock(out, "exclusive"):
        cache = LogitCache.create(out, about, {"teacher": name})
        cache.store.remove_orphans()
        if not (cache.teacher_folder / "embeddings.safetensors").exists():
            teacher.keep(cache.teacher_folder)
        work = _collect(transfer, cache, teacher, progress)
        started = time.monotonic()
        _label(work, cache, teacher, batch_tokens, progress)
        seconds = time.monotonic() - started
        cache.store.remove_orphans()
    return Labelled(work.rows, len(work.keys), int(work.pending.sum()), work.cut, seconds)


@dataclass(frozen=True)
class _Work:
    """The U distinct rows of a transfer set.

    Attributes:
        keys: (U, 2).
        lengths: (U,) in tokens.
        pending: (U,) whether the cache lacks them.
        source: (U,) the source row of the first of each.
        start: (U,) where the tokens of a pending row begin in ``ids``.
        ids, types: the tokens of the pending rows, end to end.
        rows, cut: rows of the transfer set; pending rows that were cut.
    """

    keys: Keys
    lengths: npt.NDArray[np.int32]
    pending: npt.NDArray[np.bool_]
    source: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.uint8] | None
    rows: int
    cut: int


def _collect(transfer: TransferSet, cache: LogitCache, teacher: Teacher, progress: bool) -> _Work:
    """Finds the distinct rows and tokenizes those that the cache lacks."""
    known, known_lengths = cache.tokens()
    order = sort_keys(known)
    known, known_lengths = known[order], known_lengths[order]
    seen = KeySet()
    columns: list[tuple[Keys, npt.NDArray[np.int32], npt.NDArray[np.bool_], npt.NDArray[np.int64]]] = []
    ids, types, rows, cut = [np.zeros(0, np.int32)], [np.zeros(0, np.uint8)], 0, 0
    total = transfer.store.rows()
    with tqdm(desc="tokenizing", total=total, unit=" rows", unit_scale=True, disable=not progress) as bar:
        for table in _pieces(transfer):
            keys = keys_from_arrow(table["key"])
            new = np.flatnonzero(seen.add(keys))
            place = find_keys(known, keys[new])
            pending = place < 0
            lengths = np.zeros(len(new), np.int32)
            lengths[~pending] = known_lengths[place[~pending]]
            if pending.any():
                encoded = teacher.encode(transfer.task, table.take(pa.array(new[pending])), transfer.mask_token)
                lengths[pending] = encoded.lengths
                ids.append(encoded.ids)
                if encoded.types is not None:
                    types.append(encoded.types)
                cut += encoded.cut
            columns.append((keys[new], lengths, pending, table["source"].to_numpy()[new]))
            rows += len(table)
            bar.update(len(table))
    keys, lengths, pending, source = (np.concatenate(each) for each in zip(*columns, strict=True))
    taken = np.where(pending, lengths, 0)
    flat_types = np.concatenate(types) if len(types) > 1 else None
    return _Work(keys, lengths, pending, source, np.cumsum(taken) - taken, np.concatenate(ids), flat_types, rows, cut)


def _pieces(transfer: TransferSet, rows: int = 8192) -> Iterator[pa.Table]:
    for table in transfer.tables([*transfer.task.inputs, "key", "source"]):
        for start in range(0, len(table), rows):
            yield table.slice(start, rows)


def _label(work: _Work, cache: LogitCache, teacher: Teacher, batch_tokens: int, progress: bool) -> None:
    order, bounds = plan_batches(work.lengths, work.keys, batch_tokens)
    done: list[npt.NDArray[np.int64]] = []
    logits: list[npt.NDArray[np.float32]] = []
    since = time.monotonic()
    todo = int(work.pending.sum())
    bar = tqdm(desc="labelling", total=todo, unit=" texts", disable=not progress, smoothing=0.1)
    with bar:
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            rows = order[first:last]
            rows = rows[work.pending[rows]]
            if not len(rows):
                continue
            logits.append(_forward(work, rows, cache, teacher))
            done.append(rows)
            bar.update(len(rows))
            if sum(len(each) for each in done) >= PART_ROWS or time.monotonic() - since > PART_SECONDS:
                _commit(work, cache, done, logits)
                done, logits, since = [], [], time.monotonic()
        if done:
            _commit(work, cache, done, logits)


def _forward(work: _Work, rows: npt.NDArray[np.int64], cache: LogitCache, teacher: Teacher) -> npt.NDArray[np.float32]:
    spans = [slice(start, start + length) for start, length in zip(work.start[rows], work.lengths[rows], strict=True)]
    types = None if work.types is None else [work.types[span] for span in spans]
    logits = teacher.logits([work.ids[span] for span in spans], types)
    if logits.shape != (len(rows), cache.outputs):
        raise StillhouseError(f"teacher: must give logits of shape {(len(rows), cache.outputs)}, got {logits.shape}")
    wrong = np.flatnonzero(~np.isfinite(logits).all(1))
    if len(wrong):
        row, got = int(work.source[rows[wrong[0]]]), logits[wrong[0]].tolist()
        raise StillhouseError(f"teacher: logits must be finite, got {got} for a text made from source row {row + 1}")
    return logits


def _commit(
    work: _Work, cache: LogitCache, done: list[npt.NDArray[np.int64]], logits: list[npt.NDArray[np.float32]]
) -> None:
    rows = np.concatenate(done)
    cache.append(work.keys[rows], np.concatenate(logits), work.lengths[rows])
