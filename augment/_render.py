"""Writes a draft out: the texts of its rows, and the record of what was done to each.

A text is tiled by its words, each with what stands in front of it, and by what stands after the last. An unedited
row is its tiles again, so every byte outside the edited words is kept; one Arrow ``take`` builds all rows of a block.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transferset.transfer_set import EDIT
from transferset.words import Words, strings_between

from ._block import Draft, Places


def texts(draft: Draft, outputs: Places, rows: Places) -> list[pa.Array]:
    """S columns of some output rows, (W,) numbers, each a copy of a row of the block, (W,)."""
    edited = _Edited(draft)
    columns = []
    for side in range(draft.block.sides):
        place = draft.place[outputs, side]
        written = _texts(draft, edited, place[place >= 0])
        as_is = place < 0
        if as_is.any():
            originals = draft.block.texts.take(pa.array(rows[as_is] + side * draft.block.rows))
            order = np.where(as_is, len(written) + np.cumsum(as_is), np.cumsum(~as_is)) - 1
            written = pa.concat_arrays([written, originals.cast(written.type)]).take(pa.array(order))
        columns.append(written)
    return columns


class _Edited:
    """All replacements of a draft in one: places and rule codes (E,), new words (E strings), rule names."""

    def __init__(self, draft: Draft) -> None:
        nowhere, nothing = np.zeros(0, np.int64), pa.array([], pa.large_string())
        self.rules = [*(each.rule for each in draft.edits), *(each.rule for each in draft.windows)]
        self.places = np.concatenate([nowhere, *(each.places for each in draft.edits)])
        self.code = np.repeat(np.arange(len(draft.edits)), [len(each.places) for each in draft.edits])
        self.new = pa.concat_arrays([nothing, *(each.new.cast(pa.large_string()) for each in draft.edits)])


def _texts(draft: Draft, edited: _Edited, rows: Places) -> pa.Array:
    words = draft.block.words
    low, text = draft.low[rows], draft.text[rows]
    windowed = draft.windowed()[rows]
    # A row is a piece for each word it keeps, and one for the end of the text unless it is an n-gram. The tiles of a
    # text and its end follow one another, so an unedited row is a run of them.
    count = draft.high[rows] - low + ~windowed
    first_piece = np.concatenate([[0], np.cumsum(count)])
    start = low - draft.first[rows] + words.first[text] + text
    shift = np.repeat((start - first_piece[:-1]).astype(np.int32), count)
    pieces = np.arange(first_piece[-1], dtype=np.int32) + shift
    tiles, bare = _tiles(words), words.strings
    pieces[first_piece[:-1][windowed]] = len(tiles) + draft.word[low[windowed]]

    row_of = np.full(len(draft.text), -1)
    row_of[rows] = np.arange(len(rows))
    row = row_of[draft.row[edited.places]]
    in_row = edited.places - np.append(low, 0)[row]
    shown = np.flatnonzero((row >= 0) & (in_row >= 0) & (in_row < np.append(draft.high[rows] - low, 0)[row]))
    pieces[first_piece[row[shown]] + in_row[shown]] = len(tiles) + len(bare) + np.arange(len(shown))
    new = _replacements(draft, edited.places[shown], edited.new.take(pa.array(shown)), low[windowed])
    return _joined(pa.concat_arrays([tiles, bare, new]).take(pa.array(pieces)), first_piece)


def _replacements(draft: Draft, places: Places, new: pa.Array, window_starts: Places) -> pa.Array:
    """New words, E strings, each with what stood before the old one; nothing where an n-gram begins."""
    begins = np.zeros(len(draft.word), np.bool_)
    begins[window_starts] = True
    # Made here and not with the module: a scalar makes Arrow import pandas, if it is there.
    empty = pa.scalar("", pa.large_string())
    gaps = pc.if_else(pa.array(begins[places]), empty, _gaps(draft, places))
    return pc.binary_join_element_wise(gaps, new, empty)


def _gaps(draft: Draft, places: Places) -> pa.Array:
    """What stands in front of each word: back to the word before it or the start of its text."""
    words = draft.block.words
    back_to = np.roll(words.end, 1)
    has_words = np.diff(words.first) > 0
    back_to[words.first[:-1][has_words]] = words.text_start[:-1][has_words]
    cuts = np.stack([back_to, words.start], 1).ravel()
    return strings_between(np.append(cuts, cuts[-1:]), words.data).take(pa.array(draft.word[places] * 2))


def _tiles(words: Words) -> pa.Array:
    """Each word with what stands before it, and after a text's last word the rest of the text: T + B strings."""
    texts = len(words.text_start) - 1
    cuts = np.zeros(len(words.end) + texts + 1, np.int64)
    cuts[1 + np.arange(len(words.end)) + np.repeat(np.arange(texts), np.diff(words.first))] = words.end
    cuts[1 + words.first[1:] + np.arange(texts)] = words.text_start[1:]
    return strings_between(cuts, words.data)


def _joined(pieces: pa.Array, first_piece: Places) -> pa.Array:
    """Runs of successive strings as one string each; they lie end to end already, so nothing is copied."""
    offsets = np.frombuffer(pieces.buffers()[1], np.int64)[pieces.offset :][first_piece]
    data = pieces.buffers()[2] or pa.py_buffer(b"")
    return pa.LargeStringArray.from_buffers(len(first_piece) - 1, pa.py_buffer(offsets), data)


def edit_lists(draft: Draft, outputs: Places) -> pa.Array:
    """What was done to each of some output rows, in order of position; an n-gram comes last and has no words."""
    edited = _Edited(draft)
    row = draft.row[edited.places]
    kept = (edited.places >= draft.low[row]) & (edited.places < draft.high[row])
    place = edited.places[kept]
    columns: list[tuple[Places, ...]] = [
        (2 * place, row[kept], edited.code[kept], draft.position[place].astype(np.int64), np.ones_like(place))
    ]
    for code, each in enumerate(draft.windows, len(draft.edits)):
        # The odd number stands after the last word of its text and before the first of the next.
        after_row = 2 * draft.first[each.rows + 1] - 1
        columns.append((after_row, each.rows, np.full(len(each.rows), code), each.start, each.count))
    order_key, row, codes, position, length = (np.concatenate(each) for each in zip(*columns, strict=True))
    order = np.argsort(order_key, kind="stable")
    # Past the end of the words stand the n-grams, which have none: an index of null takes null.
    word_taken = pa.array(order, mask=order >= len(place))
    old = draft.block.words.strings.take(pa.array(draft.word[place]))
    values = pa.StructArray.from_arrays(
        [
            pa.array(edited.rules, pa.string()).take(pa.array(codes[order])),
            pa.array((draft.text[row[order]] // max(1, draft.block.rows)).astype(np.int16)),
            pa.array(position[order], pa.int32()),
            pa.array(length[order], pa.int32()),
            old.take(word_taken).cast(pa.string()),
            edited.new.filter(pa.array(kept)).take(word_taken).cast(pa.string()),
        ],
        fields=list(EDIT),
    )
    counts = np.bincount(draft.output[row], minlength=len(draft.place))
    first = np.concatenate([[0], np.cumsum(counts)])
    return pa.ListArray.from_arrays(pa.array(first, pa.int32()), values).take(pa.array(outputs))
