"""The work of a labeller: chunks are claimed, asked about, and committed some together."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from tqdm import tqdm
from xxhash import xxh3_64_hexdigest

from transferset import LogitCache, StillhouseError

from ._claims import Claims
from ._rows import DistinctRows, Numbers
from .teacher import Answers, Description

#: A part is committed after this many rows, bytes or seconds, whichever comes first: the most that a kill can lose.
PART_ROWS = 16_384
PART_BYTES = 1 << 27
PART_SECONDS = 30.0
#: How often a process that has nothing left to do looks whether another one has died or is done.
_WAIT_SECONDS = 0.5


class Pool(Protocol):
    """Where a teacher is asked: in threads of this process, or on other machines."""

    @property
    def description(self) -> Description:
        """The teacher's."""
        ...

    def kept(self) -> Mapping[str, bytes]:
        """The teacher's files."""
        ...

    def answers(self, chunks: Iterator[tuple[int, pa.Table]]) -> Generator[tuple[int, Answers], None, None]:
        """Answers to numbered chunks, in any order; few are taken ahead of those answered."""
        ...

    def close(self) -> None:
        """Lets go of what was started."""
        ...


@dataclass
class Run:
    """The labelling of rows: chunks that are claimed, asked about, and committed some together."""

    rows: DistinctRows
    cache: LogitCache
    pool: Pool
    progress: bool
    labelled: int = 0
    cut: int = 0
    seconds: float = 0.0
    _answered: list[tuple[int, Numbers, Answers]] = field(default_factory=list)
    _since: float = 0.0

    def go(self) -> None:
        """Labels all that is pending, and waits for what other processes are about to."""
        started = self._since = time.monotonic()
        chunks = self.rows.chunks(self.pool.description)
        left = [number for number, chunk in enumerate(chunks) if (self.rows.place[chunk] >= 0).any()]
        saved = 1 - len(self.rows.keys) / max(1, self.rows.rows)
        plan = xxh3_64_hexdigest(b"".join(self.rows.keys[chunk].tobytes() for chunk in chunks))
        bar = tqdm(desc="labelling", total=self.rows.pending, unit=" texts", disable=not self.progress, smoothing=0.0)
        bar.set_postfix_str(f"{saved:.0%} saved as duplicates", refresh=False)
        with bar, closing(Claims(self.cache.store.path / "_scratch" / f"claims-{plan}")) as claims:
            while left:
                busy = self._pass(chunks, left, claims, bar)
                if busy:
                    time.sleep(_WAIT_SECONDS)
                left = busy
        self.seconds = time.monotonic() - started

    def _pass(self, chunks: list[Numbers], left: list[int], claims: Claims, bar: tqdm) -> list[int]:
        """Asks about each of some chunks unless another process has it; those, in order."""
        busy: list[int] = []
        asked: dict[int, Numbers] = {}

        def questions() -> Iterator[tuple[int, pa.Table]]:
            for number in left:
                if not claims.take(number):
                    busy.append(number)
                    continue
                self.cache.refresh()
                lacking = chunks[number][self.rows.place[chunks[number]] >= 0]
                # What another process committed before it let go of the chunk is known from here on.
                pending = lacking[~self.cache.has(self.rows.keys[lacking])]
                bar.update(len(lacking) - len(pending))
                if len(pending):
                    asked[number] = pending
                    yield number, self.rows.spool.take(self.rows.place[pending])
                else:
                    claims.release(number)

        try:
            with closing(self.pool.answers(questions())) as every:
                for number, answers in every:
                    self._check(asked[number], answers)
                    self._answered.append((number, asked.pop(number), answers))
                    bar.update(len(self._answered[-1][1]))
                    if self._is_full() or time.monotonic() - self._since > PART_SECONDS:
                        self._commit(claims)
        finally:
            # An error, or the user, ends the run: what is answered is not lost.
            self._commit(claims)
        return busy

    def _is_full(self) -> bool:
        """Whether what is answered makes a part; rows of many numbers are held several times over as one is made."""
        waiting = sum(len(rows) for _, rows, _ in self._answered)
        return waiting >= PART_ROWS or 4 * waiting * sum(self.cache.widths.values()) >= PART_BYTES

    def _commit(self, claims: Claims) -> None:
        answered, self._answered, self._since = self._answered, [], time.monotonic()
        if not answered:
            return
        rows = np.concatenate([each for _, each, _ in answered])
        signals = {
            name: np.concatenate([answers.signals[name] for _, _, answers in answered]) for name in self.cache.widths
        }
        cut = sum(answers.cut for _, _, answers in answered)
        self.labelled += self.cache.append(self.rows.keys[rows], signals, cut)
        self.cut += cut
        for number, _, _ in answered:
            claims.release(number)

    def _check(self, rows: Numbers, answers: Answers) -> None:
        for name, width in self.cache.widths.items():
            values = answers.signals.get(name)
            if values is None or values.shape != (len(rows), width):
                got = "none" if values is None else str(values.shape)
                raise StillhouseError(f"teacher: {name} must have shape {(len(rows), width)}, got {got}")
            wrong = np.flatnonzero(~np.isfinite(values).all(1))
            if len(wrong):
                source, got = int(self.rows.source[rows[wrong[0]]]), values[wrong[0]][:8].tolist()
                raise StillhouseError(
                    f"teacher: {name} must be finite, got {got} for row {source + 1} of the source or a copy of it:"
                    " what was committed is safe"
                )
