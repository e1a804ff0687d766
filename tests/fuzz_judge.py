"""What a command said and left behind: whole, or one line and nothing that looks whole."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz_cases import Case

ROOT = Path(__file__).parent.parent
_LONGEST_LINE = 2000
#: What tqdm draws.
_PROGRESS = re.compile(r"\d+%\||\[\d\d:\d\d|rows/s|\? ?rows|it/s|^[a-z ]+: +\d")
#: What a message must say, or what click says in its own words.
_SAYS = re.compile(
    r"\bmust\b|Missing (argument|option|parameter)|No such option|Invalid value|unexpected extra argument"
    r"|requires an argument|does not take a value|^stillhouse: interrupted"
)
#: What the tokenizers library says on standard output.
_THEIRS = b"Ignored unknown kwarg option"
#: Commands of several stages: they say which one they are at, and leave those that are done.
_TELLS = ("quickstart", "run")
#: What an unfinished command may leave in its --out: what its next run goes on from.
_UNFINISHED = re.compile(
    r"/(_checkpoint|_scratch|_manifest|_sweep|_candidates|_teacher|member-[^/]*|bag-[^/]*)(/|$)"
    r"|/part-[0-9a-f-]+\.parquet$"
)
#: What every name below a folder is and holds.
Tree = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Done:
    """How a command ended: its status (below 0 the signal that killed it), what it wrote, and what it left.

    Attributes:
        was_whole: whether its output can be read as if it had succeeded.
        late: why its process did not end as it should have.
    """

    status: int | None
    seconds: float
    out: bytes
    err: bytes
    was_whole: bool = False
    late: str | None = None


def outs_of(case: Case, work: Path) -> list[Path]:
    """The places that a command line names to be written to."""
    from stillhouse.cli import stillhouse

    name = case.arguments[0]
    if name == "run":
        return [work]  # the file says where in it
    if name not in stillhouse.list_commands(None):  # type: ignore[arg-type]
        return []
    command: Any = stillhouse.get_command(None, name)  # type: ignore[arg-type]
    try:
        given = command.make_context(name, list(case.arguments[1:]), resilient_parsing=True).params
    except Exception:
        return []
    places = [given.get("out"), given.get("onnx"), given.get("candidates")]
    places += [given.get("directory")] if name == "gc" else []
    named = [place for place in places if isinstance(place, str) and place and "\x00" not in place]
    found = [Path(os.path.realpath(work / place)) for place in named]
    return [place for place in found if not work.is_relative_to(place)]


def is_whole(case: Case, work: Path) -> bool:
    """Whether what a command was to make is there and can be read: called in its process, after it."""
    outs = outs_of(case, work)
    if not outs or case.arguments[0] in ("gc", "run"):
        return False
    sys.stdout = io.StringIO()
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        return _can_be_read(case.arguments[0], outs[0])
    except Exception:
        return False


def _can_be_read(command: str, out: Path) -> bool:
    import pyarrow.parquet as pq

    from students import Student
    from transferset import TransferSet, open_cache

    match command:
        case "augment":
            return not TransferSet.open(out).verify()
        case "label":
            cache = open_cache(out)
            return not cache.verify() and len(cache.keys()) > 0
        case "train":
            return bool(Student.load(out))
        case "sweep":
            return bool(pq.read_table(out / "results.parquet"))
        case "join":
            return bool(pq.read_table(out))
        case "teach":
            return (out / "model.safetensors").is_file()
    return out.is_file()


def tree_of(folder: Path) -> Tree:
    """Every name below a folder, with what it is and holds."""
    found: Tree = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                found[path] = ("file", mode, Path(path).read_bytes())
            else:
                found[path] = ("link", os.readlink(path)) if stat.S_ISLNK(mode) else ("other", mode)
    return found


def judged(case: Case, done: Done, before: Tree, after: Tree, outs: Sequence[Path]) -> Iterator[str]:
    """What a command did that it must not do."""
    if done.late is not None:
        yield done.late
    if done.status is None or _was_over(case, done):
        return
    if done.status < 0:
        yield f"{'hang' if done.status == -signal.SIGXCPU else 'crash'}: killed by {signal.Signals(-done.status).name}"
    yield from _judged_error(case, done)
    yield from _judged_output(case, done, before, outs)
    changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    within = [path for path in changed if any(Path(path).is_relative_to(out) for out in outs)]
    if case.arguments[0] == "run":
        within = [path for path in within if path not in before]
    for path in changed:
        # A folder on the way to --out is made for it.
        on_the_way = path not in before and any(out.is_relative_to(path) for out in outs)
        if path not in within and not on_the_way:
            yield f"outside: {_verb(path, before, after)} {path}"
    if done.status != 0 and case.arguments[0] not in ("gc", *_TELLS):
        yield from _judged_leavings(case, done, within, before, after, outs)


def _was_over(case: Case, done: Done) -> bool:
    """Whether a signal came when the command line had ended, and met nobody but the fuzz."""
    is_stopped = case.stop_after is not None or case.patience is not None
    return is_stopped and "KeyboardInterrupt at none of ours" in _where(_lines(done))


def _verb(path: str, before: Tree, after: Tree) -> str:
    return "made" if path not in before else "removed" if path not in after else "changed"


def _lines(done: Done) -> list[str]:
    err = done.err.decode("utf-8", "replace")
    return [line for line in err.replace("\r", "\n").split("\n") if line.strip()]


def _asks_help(case: Case) -> bool:
    return bool({"--help", "-h"} & set(case.arguments))


def _judged_error(case: Case, done: Done) -> Iterator[str]:
    """The status, and what was said on standard error."""
    lines, command = _lines(done), case.arguments[0]
    errors = [line for line in lines if line.startswith("stillhouse: ")]
    others = [line for line in lines if not line.startswith("stillhouse: ") and not _PROGRESS.search(line)]
    if where := _where(lines):
        yield f"traceback: {where}"
        return
    if others and command not in _TELLS and not _asks_help(case):
        yield f"noise: {others[0][:200]}"
    if done.status not in ((0, 1, 2, 130) if command == "verify" else (0, 2, 130)):
        yield f"status: {done.status}"
    if done.status == 130 and case.stop_after is None and case.patience is None:
        yield "status: 130 of what nobody stopped"
    if done.status not in (2, 130):
        yield from (f"line: {error[:100]} with status {done.status}" for error in errors)
    elif len(errors) != 1 or lines[-1] != errors[0]:
        yield f"line: {len(errors)} of them"
    else:
        yield from _judged_line(errors[0])


def _judged_line(error: str) -> Iterator[str]:
    if not _SAYS.search(error):
        yield f"message: {error[:200]}"
    if not error.isprintable():
        yield f"control: {error[:200]!r}"
    if len(error) > _LONGEST_LINE:
        yield f"long: {len(error)} characters"


def _judged_output(case: Case, done: Done, before: Tree, outs: Sequence[Path]) -> Iterator[str]:
    """Standard output; and after success, the output itself, where it is all of this command's making."""
    command = case.arguments[0]
    quiet = command not in ("predict", "sweep", *_TELLS) and not done.out.startswith(_THEIRS)
    if done.status in (2, 130) and done.out.strip() and quiet:
        yield f"stdout: {done.out[:100]!r} before an error"
    if b"\x1b" in done.out and command != "predict":
        yield f"control: {done.out[:200]!r}"
    if done.status != 0 or _asks_help(case):
        return
    is_fresh = bool(outs) and str(outs[0]) not in before
    if is_fresh and command not in ("gc", *_TELLS) and not done.was_whole:
        yield f"output: {outs[0]} is not whole after success"
    if "--json" in case.arguments and command in ("show", "evaluate"):
        try:
            json.loads(done.out, parse_constant=lambda name: 1 / 0)
        except (ValueError, ZeroDivisionError):
            yield f"json: {done.out[:100]!r}"


def _where(lines: Sequence[str]) -> str:
    """Of a traceback the last exception, and the last line of ours on its way; nothing where there is none."""
    last = max((place for place, line in enumerate(lines) if line.startswith("Traceback (most")), default=None)
    if last is None:
        return ""
    error = next((line for line in lines[last + 1 :] if not line.startswith(" ")), "")
    ours = [line.strip() for line in lines[last:] if line.startswith(f'  File "{ROOT}') and "/tests/" not in line]
    return f"{error[:160]} at {ours[-1].replace(str(ROOT), '') if ours else 'none of ours'}"


def _judged_leavings(
    case: Case, done: Done, within: Sequence[str], before: Tree, after: Mapping[str, Any], outs: Sequence[Path]
) -> Iterator[str]:
    """After a failure: nothing new that looks whole, and nothing old that is gone."""
    finished = [path for path in within if not _UNFINISHED.search(path)]
    for path in [path for path in finished if path in before][:1]:
        yield f"lost: {_verb(path, before, after)} {path} though it failed"
    for path in [path for path in finished if path not in before and path not in map(str, outs)][:1]:
        yield f"half: made {path} though it failed"
    fresh = [out for out in outs[:1] if str(out) not in before and str(out) in after]
    for out in fresh:
        if after[str(out)][0] == "file" or (done.was_whole and case.stop_after is None):
            yield f"half: {out} looks whole though it failed"
