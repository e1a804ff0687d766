"""What was done to make a transfer set, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tqdm import tqdm

from transferset import Store, TransferSet

from ._tallies import CellChanges, CellTally, Rows, RowTally, RuleUse, Spread, TextChanges, TextTally, mean


@dataclass(frozen=True)
class Summary:
    """A transfer set in numbers. Shares are 0 to 1; a share or mean of nothing is 0.

    Attributes:
        rows, parts: what is there.
        missing_parts: what an unfinished set still lacks.
        originals, augmented: rows of each kind.
        drawn: copies that were drawn: the augmented rows, and what was dropped.
        unchanged: copies dropped because no rule changed them or a gate refused them; and their share of all drawn.
        duplicates: copies dropped as equal to an original or an earlier copy; and their share of all drawn.
        short: rows that a set made with ``exact`` lacks of so many copies of each original; None for other sets.
        copies: copies of an original.
        without_copies: originals that have none.
        rules: by name.
        texts: None for features.
        cells: None for texts.
    """

    rows: int
    parts: int
    missing_parts: int
    originals: int
    augmented: int
    drawn: int
    unchanged: int
    unchanged_share: float
    duplicates: int
    duplicates_share: float
    short: int | None
    copies: Spread
    without_copies: int
    rules: Mapping[str, RuleUse]
    texts: TextChanges | None
    cells: CellChanges | None


@dataclass(frozen=True)
class Drawn:
    """What the writers of a transfer set noted: rows, dropped copies, edits by rule, and ``short`` as in a Summary.

    ``incomplete`` counts the originals with fewer copies than were asked for.
    """

    originals: int
    augmented: int
    unchanged: int
    duplicates: int
    edits: Mapping[str, int]
    short: int | None
    incomplete: int

    @property
    def copies(self) -> int:
        """The copies that were drawn: those kept and those dropped."""
        return self.augmented + self.unchanged + self.duplicates


def drawn(store: Store) -> Drawn:
    """What the parts' records say, without reading a row."""
    notes = [part.notes for part in store.parts()]
    names = ("originals", "augmented", "unchanged", "duplicates", "incomplete")
    originals, augmented, unchanged, duplicates, incomplete = (
        sum(each.get(name, 0) for each in notes) for name in names
    )
    edits: dict[str, int] = {}
    for each in notes:
        for rule, count in each.get("edits", {}).items():
            edits[rule] = edits.get(rule, 0) + count
    short = store.about["copies"] * originals - augmented if store.about.get("exact") else None
    return Drawn(originals, augmented, unchanged, duplicates, dict(sorted(edits.items())), short, incomplete)


def summarize(transfer: TransferSet, progress: bool = False) -> Summary:
    """What was done to make a transfer set: rows, rules, how far the copies are from their originals.

    Reads the set a part at a time; what is kept of each are sums, and the distinct words.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from augment import Mask, augment_file
    >>> from transferset import Source, Task
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "films.txt")
    ...     _ = file.write_text("a fine film")
    ...     store = augment_file(Source(file), Task("text", ("text",)), Path(folder, "T"), [Mask(rate=0.5)], copies=6)
    ...     found = summarize(TransferSet(store))
    >>> found.originals, found.augmented, found.unchanged, found.duplicates
    (1, 3, 3, 0)
    >>> found.texts.replaced, found.texts.after_words.mean
    (2.0, 3.0)

    Raises:
        StillhouseError: a part that is gone or damaged.
    """
    store, task = transfer.store, transfer.task
    parts, rows = store.parts(), RowTally()
    texts = TextTally(task.inputs, transfer.mask_token) if task.kind != "features" else None
    cells = CellTally(len(task.inputs)) if task.kind == "features" else None
    columns = [*(task.inputs if texts else ()), "copy", "edits"]
    for part in tqdm(parts, "reading", unit=" parts", leave=False, delay=1, disable=not progress):
        read = Rows(store.read(part, columns))
        for tally in (rows, texts, cells):
            if tally is not None:
                tally.add(read)
    noted = drawn(store)
    return Summary(
        rows=noted.originals + noted.augmented,
        parts=len(parts),
        missing_parts=len(store.missing_slots()),
        originals=noted.originals,
        augmented=noted.augmented,
        drawn=noted.copies,
        unchanged=noted.unchanged,
        unchanged_share=mean(noted.unchanged, noted.copies),
        duplicates=noted.duplicates,
        duplicates_share=mean(noted.duplicates, noted.copies),
        short=noted.short,
        copies=rows.copies.spread(),
        without_copies=int(rows.copies.times[0]),
        rules=rows.rules(),
        texts=texts.changes() if texts else None,
        cells=cells.changes() if cells else None,
    )
