"""Runs what a page prints, in its order and in one process: ``python page_runner.py STEPS.json``, in the page's folder.

Each step is a language and its text: a line of ``sh``, or a block of ``python``, which gets a namespace of its own. The
one process spares loading torch for each of many lines.
"""

import json
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

from stillhouse.cli import main


def run_line(line: str) -> int:
    """The exit status of a line of shell."""
    if not line.startswith("stillhouse ") or set(line) & set("|&;<>$"):
        return subprocess.run(line, shell=True, check=False).returncode
    sys.argv = shlex.split(line)
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)


def run_all(steps: list[list[str]]) -> None:
    """Runs the steps until one fails."""
    for number, (language, text) in enumerate(steps):
        sys.stderr.write(f"\n>>> {text}\n")
        if language == "sh":
            status = run_line(text)
            if status:
                sys.exit(f"ended with status {status}")
        else:
            file = Path(f"block-{number}.py")
            file.write_text(text)
            sys.argv = [str(file)]
            runpy.run_path(str(file), run_name="__main__")


if __name__ == "__main__":
    sys.path.insert(0, "")
    run_all(json.loads(Path(sys.argv[1]).read_text()))
