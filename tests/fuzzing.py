"""Runs ``stillhouse`` on thousands of spoiled inputs and says what it did that it must not do.

Every case is a process of its own, forked from this one, in a folder of its own with things beside it that nobody may
touch. It must end within ten seconds, with its whole output, or with one line that says what must hold and status 2;
and it may write nowhere but where it was told to.

    python tests/fuzzing.py --cases 10000 --seed 0
    python tests/fuzzing.py --only "store 17" --seed 0 --keep
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).parent.parent
# This process forks and must have one thread, and nothing may go out to a network.
os.environ |= {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
    "TQDM_MININTERVAL": "10", "ORT_DISABLE_TELEMETRY": "1",
}  # fmt: skip
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import click  # noqa: E402
from fuzz_cases import KINDS, Case  # noqa: E402
from fuzz_inputs import interrupted, make_inputs, make_teachers  # noqa: E402
from fuzz_judge import judged, outs_of, tree_of  # noqa: E402
from fuzz_process import load_everything, main_of_stillhouse, run  # noqa: E402


@dataclass(frozen=True)
class Finding:
    """A case and what was wrong with it."""

    name: str
    outcome: str
    arguments: tuple[str, ...]
    problems: tuple[str, ...]
    error: str


class Fuzz:
    """Inputs in a folder, and the cases that are run beside them."""

    def __init__(self, folder: Path, seed: int, keep: bool = False, exports: bool = True) -> None:
        self.folder, self.seed, self.keep, self.bench = folder, seed, keep, folder / "bench"
        self.times: list[tuple[float, str]] = []
        (folder / "home").mkdir(parents=True, exist_ok=True)
        make_inputs(self.bench, self._make, exports)

    def _make(self, arguments: Sequence[str], work: Path) -> None:
        """Runs a command that must succeed, on what the inputs are made of."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        main: Callable[[], object] = main_of_stillhouse
        wanted = 0
        if arguments[0] == "TEACHERS":
            main = lambda: make_teachers(work)  # noqa: E731
        elif arguments[0] == "INTERRUPTED":
            arguments, main, wanted = arguments[1:], lambda: interrupted(main_of_stillhouse), 130
        done = run(Case(tuple(arguments)), work, main, limit=120)
        self.times.append((done.seconds, " ".join(arguments)))
        if done.status != wanted:
            raise RuntimeError(
                f"{' '.join(arguments)}: must end with {wanted}, got {done.status}: {done.err.decode()[-2000:]}"
            )

    def one(self, kind: str, number: int, again: bool = False) -> Finding:
        """Runs a case; its name is its kind and number."""
        name = f"{kind} {number}"
        folder = self.folder / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        work = folder / "work"
        for each in (work, folder / "outside", folder / "tmp"):
            each.mkdir(parents=True)
        (folder / "outside" / "decoy.txt").write_text("nobody may touch this\n")
        case = KINDS[kind][0](Random(f"{self.seed} {name}"), self.bench, work)
        before = tree_of(folder)
        outs = outs_of(case, work)
        done = run(case, work)
        if done.status is None and not again:  # the whole machine may have been stopped meanwhile
            return self.one(kind, number, again=True)
        problems = tuple(judged(case, done, before, tree_of(folder), outs))
        self.times.append((done.seconds, name))
        error = done.err.decode("utf-8", "replace").strip().replace("\r", "\n").split("\n")[-1]
        outcome = {0: "done", 1: "problems found", 2: "one line", 130: "stopped"}.get(done.status or 0, "other")
        if not self.keep:
            shutil.rmtree(folder)
        return Finding(name, "wrong" if problems else outcome, case.arguments, problems, error)


def shares(cases: int) -> dict[str, int]:
    """How many cases of each kind make so many."""
    total = sum(weight for _, weight in KINDS.values())
    return {kind: max(1, round(cases * weight / total)) for kind, (_, weight) in KINDS.items()}


def table(outcomes: Counter[tuple[str, str]]) -> str:
    """The count by kind and outcome."""
    heads = ["done", "one line", "problems found", "stopped", "wrong"]
    kinds = list(dict.fromkeys(kind for kind, _ in outcomes))
    rows = [["kind", *heads, "all"]]
    for kind in kinds:
        counts = [outcomes[kind, head] for head in heads]
        rows.append([kind, *map(str, counts), str(sum(counts))])
    totals = [sum(int(row[place]) for row in rows[1:]) for place in range(1, len(rows[0]))]
    rows.append(["all", *map(str, totals)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


@click.command()
@click.option("--cases", default=10_000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--first", default=0, show_default=True, help="Number of the first case of each kind: for runs in pieces."
)
@click.option("--kind", "kinds", multiple=True, help="Only cases of this kind.")
@click.option("--only", help='One case by its name, such as "store 17"; its output is shown.')
@click.option("--keep", is_flag=True, help="Leave the folders of the cases, and say where they are.")
@click.option("--exports/--no-exports", default=True, help="Whether ONNX files take part.")
@click.option("--log", type=click.Path(), help="JSON lines of what was wrong.")
def main(
    cases: int,
    seed: int,
    first: int,
    kinds: tuple[str, ...],
    only: str | None,
    keep: bool,
    exports: bool,
    log: str | None,
) -> None:
    """Runs spoiled inputs through the commands, and says by kind what became of them; status 1 where any went wrong."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.environ["HOME"] = os.environ["HF_HOME"] = str(folder / "home")
    load_everything()
    gc.freeze()
    fuzz = Fuzz(folder, seed, keep or only is not None, exports)
    outcomes: Counter[tuple[str, str]] = Counter()
    errors: Counter[str] = Counter()
    many = {kind: number for kind, number in shares(cases).items() if kind in (kinds or KINDS)}
    chosen = [(kind, first + number) for kind, most in many.items() for number in range(most)]
    if only is not None:
        chosen = [(only.rpartition(" ")[0], int(only.rpartition(" ")[2]))]
    for kind, number in chosen:
        found = fuzz.one(kind, number)
        outcomes[kind, found.outcome] += 1
        for problem in found.problems:
            errors[problem.partition(":")[0]] += 1
            click.echo(f"{found.name}: {problem!r}  [{' '.join(each[:80] for each in found.arguments)[:400]!r}]")
        if log and found.problems:
            with Path(log).open("a") as file:
                file.write(json.dumps([found.name, seed, found.problems, found.arguments, found.error]) + "\n")
        if only:
            click.echo(f"{found.outcome}: {found.error}\n{' '.join(map(repr, found.arguments))}\n{fuzz.folder}")
    click.echo(table(outcomes))
    click.echo(
        f"{sum(outcomes.values()):,} cases of seed {seed}; slowest {sorted(fuzz.times)[-3:]}; wrong: {dict(errors)}"
    )
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    click.echo(
        f"processor: {', '.join(f'{each.ru_utime:.0f} s and {each.ru_stime:.0f} s of the system' for each in used)}"
    )
    if any((folder / "home").iterdir()):
        click.echo(f"outside: made {[path.name for path in (folder / 'home').iterdir()]} in the home directory")
    if keep or only:
        click.echo(f"kept in {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
