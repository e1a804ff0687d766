"""Asks a teacher in threads of this process."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

import pyarrow as pa

from .teacher import Answers, Description, Loaded


class Threads:
    """As many threads as the teacher allows, each with a chunk of its own.

    While one thread tokenizes another may be in its forward pass, and the caller may be writing what is done.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    @property
    def description(self) -> Description:
        """The teacher's."""
        return self._loaded.description

    def kept(self) -> Mapping[str, bytes]:
        """The teacher's files."""
        return self._loaded.kept()

    def answers(self, chunks: Iterator[tuple[int, pa.Table]]) -> Generator[tuple[int, Answers], None, None]:
        """Answers to numbered chunks as they are ready; one chunk more than threads is taken ahead."""
        workers = self.description.workers
        running: dict[Future[Answers], int] = {}
        executor = ThreadPoolExecutor(workers)
        try:
            while True:
                for number, rows in islice(chunks, workers + 1 - len(running)):
                    running[executor.submit(self._loaded.answer, rows)] = number
                if not running:
                    return
                finished = wait(running, return_when=FIRST_COMPLETED).done
                # Answers before errors, so that none is lost.
                for done in sorted(finished, key=lambda each: each.exception() is not None):
                    yield running.pop(done), done.result()
        finally:
            executor.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Nothing is left to end."""
