"""The ``stillhouse`` command: finds the subcommands and turns every mistake into one line.

Each file in ``stillhouse/commands/`` is a subcommand: it opens, calls the library, and prints. Results go to
stdout, progress to stderr, errors to stderr in one line with exit status 2.
"""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from transferset import StillhouseError, unknown

from . import __version__, commands

#: The order in which a user meets them.
_ORDER = (
    "quickstart", "init", "run", "teach", "augment", "label", "join", "train", "sweep", "evaluate", "predict", "export",
    "report", "show", "verify", "gc",
)  # fmt: skip

#: Characters of an error; of a longer one the middle is left out, for what must hold and what to do stand at the ends.
_LONGEST = 1000


class Commands(click.Group):
    """Loads a subcommand when it is called, so that ``--help`` does not wait for torch."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The subcommands, in the order of use."""
        found = [info.name for info in pkgutil.iter_modules(commands.__path__) if not info.name.startswith("_")]
        return sorted(found, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The subcommand of that name."""
        if name not in self.list_commands(context):
            raise unknown("command", name, self.list_commands(context))
        command: click.Command = importlib.import_module(f"{commands.__name__}.{name}").command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="stillhouse")
def stillhouse() -> None:
    """Make a large model cheap: augment a data set, label it once with the teacher, train small students.

    \b
      stillhouse augment reviews.csv --text review --label stars --out T
      stillhouse label T --teacher ./my-bert --out L
      stillhouse train T L --student bilstm --dev dev.csv --out S
      stillhouse predict S new.csv
    """


def main() -> NoReturn:
    """Runs the command line and exits: 0 done, 2 a mistake (one line), 130 interrupted."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # What stops a job (timeout, a queue, a container) lets it commit what it has, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold bytes that are no text
    try:
        code = stillhouse.main(standalone_mode=False)
    except (StillhouseError, OSError, click.ClickException, click.exceptions.Abort, KeyboardInterrupt) as error:
        _fail(error)
    except (MemoryError, RuntimeError) as error:
        # Torch says so with a RuntimeError.
        if isinstance(error, RuntimeError) and "can't allocate memory" not in str(error):
            raise
        _exit("memory: must be enough for a part of the work, got too little: try smaller batches or sizes", 2)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: BaseException) -> NoReturn:
    _let_go(error)
    if isinstance(error, BrokenPipeError):
        # The reader of our output is gone; nothing is left to say, and flushing would only fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        _exit("interrupted: what was committed is safe, the same command goes on from there", 130)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help())
        sys.exit(0)
    if isinstance(error, click.ClickException):
        _exit(_usage_line(error), 2)
    _exit(_system_line(error) if isinstance(error, OSError) else str(error), 2)


def _let_go(error: BaseException | None) -> None:
    """Frees what the calls that failed still hold: a bar that one of them was drawing ends its line then."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _system_line(error: OSError) -> str:
    """What the operating system refused, of which file; an error of Arrow's may have nothing but a text."""
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}files must be as readable and writable as the command needs them, got {error.strerror or error}"


def _usage_line(error: click.ClickException) -> str:
    context: Any = getattr(error, "ctx", None)
    where = f"{context.command_path}: " if context is not None else ""
    return where + error.format_message()


def _exit(message: str, code: int) -> NoReturn:
    click.echo(f"stillhouse: {_one_line(message)}", err=True)
    sys.exit(code)


def _one_line(message: str) -> str:
    """A message without line breaks, without what would command a terminal, and not endless.

    The names and texts in it may be anybody's.
    """
    line = " ".join(message.split())
    line = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
