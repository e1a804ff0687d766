"""What a model has to offer in place of a word: asked once, kept by content, drawn from as often as wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128_hexdigest

from transferset import Keys, Part, StillhouseError, Store, find_keys, keys_from_arrow, keys_to_arrow, sort_keys
from transferset.columns import Column
from transferset.keys import KEY_TYPE

from ._block import Flags, Places
from ._draws import Draws, below

KIND = "candidate store"
_OFFERS = pa.list_(pa.string())
_COLUMNS = {"key": Column((KEY_TYPE,)), "candidates": Column((_OFFERS,), nulls=True)}
_FEW_RUNS = 16


def mark_of(about: Mapping[str, Any]) -> str:
    """A short name for what candidates depend on: model, context, number."""
    return xxh3_128_hexdigest(json.dumps(about, sort_keys=True).encode())[:12]


class Candidates:
    """Lists of candidates by key. With a folder they are kept in a crash-safe store; without one, in memory.

    ``about`` says what the lists depend on; another one has another store in the same folder.
    """

    def __init__(self, folder: Path | None, name: str, about: Mapping[str, Any]) -> None:
        self._tables: list[pa.Array] = []
        self._runs: list[tuple[Keys, Places, Places]] = []
        self.store = None
        if folder is not None:
            if (folder / "_manifest").exists():
                raise StillhouseError(f"{folder}: candidates must have a directory of their own, such as T/_candidates")
            self.store = Store.create(folder / f"{name}-{mark_of(about)}", KIND, about, {}).of(_COLUMNS)
            with self.store.lock("shared"):
                for number, part in enumerate(self.store.parts()):
                    self._index(keys_from_arrow(self.store.read(part, ["key"])["key"]), number)
        self._parts = list(self.store.parts()) if self.store is not None else []

    def missing(self, keys: Keys) -> Flags:
        """(Q,) which keys, (Q, 2), have no list yet."""
        return np.asarray(self._find(keys)[0] < 0)

    def add(self, keys: Keys, offers: pa.Array) -> None:
        """Keeps a list of strings for each of some keys, (Q, 2)."""
        if self.store is None:
            self._index(keys, len(self._tables))
            self._tables.append(offers)
            return
        with self.store.lock("shared"):
            part = self.store.commit(pa.table({"key": keys_to_arrow(keys), "candidates": offers}), {})
        self._index(keys, len(self._parts))
        self._parts.append(part)

    def look_up(self, keys: Keys) -> pa.Array:
        """The lists of some keys, (Q, 2): Q of them, null for a key that is not there."""
        table, row = self._find(keys)
        pieces, starts = [pa.nulls(1, _OFFERS)], np.zeros(len(keys), np.int64)
        for number in np.unique(table[table >= 0]).tolist():
            starts[table == number] = sum(len(each) for each in pieces)
            pieces.append(self._read(number).take(pa.array(row[table == number])))
            row[table == number] = np.arange(len(pieces[-1]))
        return pa.concat_arrays(pieces).take(pa.array(np.where(table < 0, 0, starts + row)))

    def _read(self, number: int) -> pa.Array:
        return self._tables[number] if self.store is None else _read_part(self.store, self._parts[number])

    def _index(self, keys: Keys, number: int) -> None:
        order = sort_keys(keys)
        self._runs.append((keys[order], np.full(len(keys), number), order))
        if len(self._runs) > _FEW_RUNS:
            keys, table, row = (np.concatenate(each) for each in zip(*self._runs, strict=True))
            order = sort_keys(keys)
            self._runs = [(keys[order], table[order], row[order])]

    def _find(self, keys: Keys) -> tuple[Places, Places]:
        table, row = np.full(len(keys), -1), np.zeros(len(keys), np.int64)
        for run, tables, rows in self._runs:
            place = find_keys(run, keys)
            found = place >= 0
            table[found], row[found] = tables[place[found]], rows[place[found]]
        return table, row


def _read_part(store: Store, part: Part) -> pa.Array:
    return store.read(part, ["candidates"])["candidates"].combine_chunks()


def draw(offers: pa.Array, rows: Places, draws: Draws) -> pa.Array:
    """One string from each of some lists, all equally likely: ``rows``, (E,), says which list, none of them empty."""
    offsets = offers.offsets.to_numpy()
    first = offsets[rows]
    return offers.values.take(pa.array(first + below(draws, offsets[rows + 1] - first)))


def has_offers(offers: pa.Array) -> Flags:
    """(T,) which lists have anything in them; a null has not."""
    lengths = pc.fill_null(pc.list_value_length(offers), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False) > 0)


def carry_case(old: pa.Array, new: pa.Array) -> pa.Array:
    """New words in the case of the old ones: capitals where all letters are, a first capital where that is.

    >>> carry_case(pa.array(["FILM", "Film", "film", "I"]), pa.array(["movie", "movie", "Rome", "we"])).to_pylist()
    ['MOVIE', 'Movie', 'Rome', 'We']
    """
    old, new = old.cast(pa.string()), new.cast(pa.string())
    upper, first = pc.utf8_is_upper(old), pc.utf8_is_upper(pc.utf8_slice_codeunits(old, 0, 1))
    long = pc.greater(pc.utf8_length(old), 1)
    head, rest = pc.utf8_upper(pc.utf8_slice_codeunits(new, 0, 1)), pc.utf8_slice_codeunits(new, 1)
    titled = pc.if_else(first, pc.binary_join_element_wise(head, rest, ""), new)
    return pc.if_else(pc.and_(upper, long), pc.utf8_upper(new), titled)
