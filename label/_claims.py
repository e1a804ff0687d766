"""Chunks that one process at a time works on, so that several label into one cache without doing the same work."""

from __future__ import annotations

import fcntl
from pathlib import Path

from transferset.files import writing


class Claims:
    """Locks on the bytes of a file, one for each chunk; to be closed.

    The operating system gives a lock to one process at a time, on NFS too, and drops it when the process dies.
    """

    def __init__(self, path: Path) -> None:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")

    def take(self, chunk: int) -> bool:
        """Whether the chunk is ours now; False while another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, chunk)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, chunk: int) -> None:
        """Gives the chunk back."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, chunk)

    def close(self) -> None:
        """Gives all of them back."""
        self._file.close()
