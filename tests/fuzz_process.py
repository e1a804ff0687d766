"""One command in a process of its own, forked from this one, which has everything loaded already."""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from fuzz_cases import Case
from fuzz_judge import Done, is_whole

#: Seconds of a processor that a command may take, and seconds on the clock: other work may be going on beside it.
LIMIT, CLOCK = 10, 120.0
#: Bytes of address space and of one file: what asks for more is told that there is none.
_MEMORY, _FILE = 8 << 30, 1 << 28
_MODULES = """
    students.student students.export students.predict students.evaluate students.trainer students.search
    augment._classes sklearn.linear_model sklearn.cluster skops.io tokenizers onnxruntime onnx tiny_classifiers
    transformers.models.bert.modeling_bert transformers.models.bert.tokenization_bert
    transformers.models.auto.modeling_auto transformers.models.auto.tokenization_auto pyarrow.parquet pyarrow.compute
"""


def main_of_stillhouse() -> None:
    """The command line, as ``python -m stillhouse`` runs it."""
    from stillhouse.cli import main

    main()


def load_everything() -> None:
    """Imports what any command would, so that each case need not; one that was not would be imported 10,000 times."""
    from stillhouse.cli import stillhouse

    for name in stillhouse.list_commands(None):  # type: ignore[arg-type]
        stillhouse.get_command(None, name)  # type: ignore[arg-type]
    for name in _MODULES.split():
        importlib.import_module(name)
    # A process that is started anew would import all of it again.
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment,misc]


def run(case: Case, work: Path, main: Callable[[], object] = main_of_stillhouse, limit: int = LIMIT) -> Done:
    """What becomes of a command in a folder."""
    logs = work.parent.with_name(f"{work.parent.name}.logs")
    logs.mkdir(exist_ok=True)
    (logs / "in").write_bytes(case.stdin)
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become(case, work, logs, writing, main, limit)
    os.close(writing)
    status, late = _waited(child, case)
    seconds = time.monotonic() - started
    with os.fdopen(reading, "rb") as pipe:
        was_whole = pipe.read() == b"whole"
    done = Done(status, seconds, (logs / "out").read_bytes(), (logs / "err").read_bytes(), was_whole, late)
    shutil.rmtree(logs)
    return done


def _become(case: Case, work: Path, logs: Path, report: int, main: Callable[[], object], limit: int) -> NoReturn:
    """Is the process of a command: runs it as a shell would, looks at what it left, and ends."""
    code = 71
    try:
        os.setsid()
        os.chdir(work)
        _redirect(logs)
        for what, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_FSIZE, _FILE), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(what, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        Path("/proc/self/oom_score_adj").write_text("1000")
        tempfile.tempdir = os.environ["TMPDIR"] = str(work.parent / "tmp")
        sys.dont_write_bytecode = True  # of a module in the current directory; it is Python that writes there
        os.fsync = lambda handle: None  # type: ignore[assignment]  # no power is lost here
        sys.argv = ["stillhouse", *case.arguments]
        code = _code_of(main)
        if is_whole(case, work):
            os.write(report, b"whole")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _redirect(logs: Path) -> None:
    """Files in place of the terminal; what cannot be written in UTF-8 is an error, as it is for most users."""
    for place, name in enumerate(("in", "out", "err")):
        os.dup2(os.open(logs / name, os.O_RDWR | os.O_CREAT, 0o600), place)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "strict")
    err = io.BufferedWriter(io.FileIO(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(err, "utf-8", "backslashreplace", line_buffering=True)


def _code_of(main: Callable[[], object]) -> int:
    """The exit status that the interpreter would end with, once it has waited for all that it waits for."""
    try:
        try:
            main()
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        sys.stdout.flush()
        threading._shutdown()  # type: ignore[attr-defined]
    except BaseException:
        traceback.print_exc()
        code = 1
    return code


def _waited(child: int, case: Case) -> tuple[int | None, str | None]:
    """The status of a process, which is told to stop where it was to be, and killed where it takes too long."""
    handle = os.pidfd_open(child)
    try:
        if case.stop_after is not None:
            _until_it_listens(child)
            time.sleep(case.stop_after)
            os.kill(child, case.signal)
        ended = bool(select.select([handle], [], [], CLOCK if case.patience is None else case.patience)[0])
        if not ended and case.patience is not None:
            os.kill(child, signal.SIGINT)
            ended = bool(select.select([handle], [], [], CLOCK)[0])
        late = None if ended else f"hang: it did not end in {CLOCK:.0f} s"
        if not ended:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(handle)
    if ended and _group_lives(child):
        late = "process: some were left running"
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    return (None if not ended else os.waitstatus_to_exitcode(status)), late


def _until_it_listens(child: int) -> None:
    """Waits until a process has said what it does when it is told to stop, which is the first thing it does."""
    bit = 1 << (signal.SIGTERM - 1)
    for _ in range(1000):
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{child}/status").read_text())
        if caught is None or int(caught[1], 16) & bit:
            return
        time.sleep(0.002)


def _group_lives(group: int) -> bool:
    """Whether processes of a group are still there a while after their first one ended."""
    for _ in range(40):
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        time.sleep(0.05)
    return True
