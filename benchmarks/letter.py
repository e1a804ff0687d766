"""What a small network keeps of 500 trees: Letter, by rows to learn from and augmented copies; three seeds each.

    python benchmarks/letter.py --out /tmp/letter

The teacher learns the first 4,000 rows of Letter, and another one the first 16,000; only these are augmented. Students
see 0 to 20 copies of each row for the same number of steps. Beside them stands the same network trained on gold labels
alone: with the trainer's defaults, with the students' settings, and with dropout too, of which the rate that is best on
the test rows is quoted: more than one could know. Both sides of a speed are measured on one core, in turn. What is done
is not done again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).parent.parent
SIZES, TEST_ROWS = (4_000, 16_000), 4_000
COPIES, SEEDS, DROPOUTS = (0, 1, 2, 5, 10, 20), (0, 1, 2), (0.1, 0.2, 0.3)
BATCH, LEARNING_RATE, STEPS = 256, 0.01, 5_000
TREES, ROUNDS = 500, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=STEPS, help="of each student, fewer for a try")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; nets of this size gain nothing from more
    for rows in given.rows:
        out = given.out.resolve() / str(rows)
        out.mkdir(parents=True, exist_ok=True)
        make(given.shared.resolve() / "data" / "letter" / "letter.tsv", out, rows)
        chosen = list(settings(out, given.steps))
        (out / "grid.toml").write_text(grids(chosen))
        stillhouse(out, "sweep", "T", "L", "--grid", "grid.toml", "--workers", 2, "--out", "R")
        accuracies(out, rows, chosen)
        costs(out, rows, chosen)


def say(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def stillhouse(out: Path, *arguments: object) -> None:
    """Runs a command; what it prints goes to stderr."""
    command = [sys.executable, "-m", "stillhouse", *map(str, arguments)]
    subprocess.run(command, cwd=out, stdout=sys.stderr, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


# The teacher, the transfer set, the cache.


def make(letter: Path, out: Path, rows: int) -> None:
    header, *lines = letter.read_text("utf-8").splitlines()
    for name, part in (("train", lines[:rows]), ("test", lines[-TEST_ROWS:])):
        (out / f"{name}.tsv").write_text("\n".join([header, *part]) + "\n")
    if not (out / "teacher.joblib").exists():
        import joblib
        from sklearn.ensemble import ExtraTreesClassifier

        teacher = ExtraTreesClassifier(TREES, n_jobs=1, random_state=0).fit(*numbers_and_letters(out / "train.tsv"))
        joblib.dump(teacher, out / "unfinished")
        (out / "unfinished").rename(out / "teacher.joblib")
    columns = ("--features", "all", "--label", "letter")
    stillhouse(out, "augment", "train.tsv", *columns, "--recipe", "munge", "--copies", max(COPIES), "--out", "T")
    stillhouse(out, "augment", "test.tsv", *columns, "--copies", 0, "--out", "T-test")
    for transfer, cache in (("T", "L"), ("T-test", "L-test")):
        stillhouse(out, "label", transfer, "--teacher", "sklearn:teacher.joblib", "--trust-pickle", "--out", cache)


def numbers_and_letters(file: Path) -> tuple[Any, Any]:
    cells = np.loadtxt(file, dtype=str, delimiter="\t", skiprows=1)
    return cells[:, :-1].astype(float), cells[:, -1]


# The students.


def settings(out: Path, steps: int) -> Iterator[dict[str, Any]]:
    """What sets each of the students apart: all but the one of defaults for the same number of steps."""
    from transferset import TransferSet

    copy = np.concatenate([table["copy"].to_numpy() for table in TransferSet.open(out / "T").tables(["copy"])])
    for copies in COPIES:
        epochs = math.ceil(steps / math.ceil(np.count_nonzero(copy <= copies) / BATCH))
        same = {"learning_rate": LEARNING_RATE, "epochs": epochs}
        yield {"loss": "kl", "temperature": 1.0, "copies": copies, **same}
        if not copies:
            yield {"loss": "gold"}
            yield from ({"loss": "gold", "dropout": dropout, **same} for dropout in (0.0, *DROPOUTS))


def grids(chosen: list[dict[str, Any]]) -> str:
    """The settings as the TOML of a sweep."""
    lines = []
    for setting in chosen:
        every = {"student": "mlp", **setting, "batch_size": BATCH, "seed": list(SEEDS)}
        lines += ["[[grid]]", *(f"{name} = {json.dumps(value)}" for name, value in every.items()), ""]
    return "\n".join(lines)


def accuracies(out: Path, rows: int, chosen: list[dict[str, Any]]) -> None:
    """What every student reaches on the test rows, and how much that is of what the teacher has more than gold."""
    from students import Student, evaluate
    from transferset import LogitCache, Source

    test, cache = Source(out / "test.tsv"), LogitCache.open(out / "L-test")
    names = students_of(out)
    means, teacher = [], 0.0
    for setting in chosen:
        found = [evaluate(Student.load(out / "R" / name), test, cache, resamples=0) for name in names[as_key(setting)]]
        values = [each["accuracy"] for each in found]
        fidelity = {metric: [each[metric] for each in found] for metric in ("agreement", "kl")}
        means.append(statistics.mean(values))
        teacher = found[0]["teacher"]["accuracy"]
        say(rows=rows, **setting, accuracy=values, mean=means[-1], sd=statistics.stdev(values), **fidelity)
    students = {each["copies"]: mean for each, mean in zip(chosen, means, strict=True) if each["loss"] == "kl"}
    gold = [(mean, each) for each, mean in zip(chosen, means, strict=True) if each["loss"] == "gold"]
    baselines = {
        "defaults": gold[0][0],
        "same settings": gold[1][0],
        "best dropout": max(mean for mean, _ in gold),
    }
    say(rows=rows, teacher=teacher, gold=baselines)
    for copies, student in students.items():
        kept = {name: share(student, each, teacher) for name, each in baselines.items()}
        say(rows=rows, copies=copies, student=student, more_than_teacher=student - teacher, gain_kept_over_gold=kept)


def students_of(out: Path) -> dict[str, list[str]]:
    """The directories of the students of each setting, by seed."""
    found = defaultdict(list)
    for file in (out / "R").glob("*/config.json"):
        made = json.loads(file.read_text())["made_from"]
        (loss, objective), training = *made["objective"].items(), made["training"]
        names = ("learning_rate", "epochs", "copies")
        every = {"loss": loss, **objective, **made["student"]["mlp"], **{name: training[name] for name in names}}
        found[as_key(every)].append((made["seed"], file.parent.name))
    return {key: [name for _, name in sorted(each)] for key, each in found.items()}


def as_key(setting: dict[str, Any]) -> str:
    """The settings that differ, with the defaults of those that are not given."""
    from students import Training

    defaults = {"dropout": 0.0, "learning_rate": Training().learning_rate, "epochs": None, "copies": None}
    return json.dumps({name: setting.get(name, other) for name, other in {"loss": "", **defaults}.items()})


def share(student: float, gold: float, teacher: float) -> float | None:
    """Of the teacher's gain over gold labels what the student keeps; None where there is none."""
    return (student - gold) / (teacher - gold) if teacher > gold else None


# Sizes and speeds.


def costs(out: Path, rows: int, chosen: list[dict[str, Any]]) -> None:
    import joblib
    import torch

    from students import Student
    from students.export import export
    from students.onnx_student import OnnxStudent

    torch.set_num_threads(1)
    setting = next(each for each in chosen if each.get("copies") == COPIES[-1])
    student, file = Student.load(out / "R" / students_of(out)[as_key(setting)][0]), out / "student.onnx"
    export(student, file, force=True)
    exported = OnnxStudent.load(file, threads=1)
    teacher = joblib.load(out / "teacher.joblib").set_params(n_jobs=1)
    values, _ = numbers_and_letters(out / "test.tsv")
    table = pa.table(dict(zip(student.task.inputs, values.astype(np.int64).T, strict=True)))
    nodes = sum(tree.tree_.node_count for tree in teacher.estimators_)
    parameters = sum(each.numel() for each in student.model.parameters())
    sizes = {"teacher": (out / "teacher.joblib").stat().st_size, "student": file.stat().st_size}
    say(rows=rows, bytes=sizes, ratio=sizes["teacher"] / sizes["student"])
    say(rows=rows, nodes=nodes, parameters=parameters, ratio=nodes / parameters)
    many, single, one_row = pa.concat_tables([table] * 10), table.slice(0, 1), values[:1]
    pace = in_turn(
        {
            "teacher": lambda: len(values) / seconds(lambda: teacher.predict_proba(values)),
            "torch": lambda: len(many) / seconds(lambda: student.outputs(many)),
            "onnx": lambda: len(many) / seconds(lambda: exported.outputs(many)),
        }
    )
    wait = in_turn(
        {
            "teacher": lambda: seconds(lambda: teacher.predict_proba(one_row)),
            "torch": lambda: seconds(lambda: student.outputs(single), 50),
            "onnx": lambda: seconds(lambda: exported.outputs(single), 50),
        }
    )
    say(rows=rows, rows_a_second=pace)
    say(rows=rows, seconds_for_one_row=wait)
    fast, quick = ({name: statistics.median(each) for name, each in kind.items()} for kind in (pace, wait))
    for name in ("torch", "onnx"):
        say(rows=rows, ratio=f"{name} / teacher, rows a second", value=round(fast[name] / fast["teacher"], 1))
        say(rows=rows, ratio=f"teacher / {name}, seconds for one row", value=round(quick["teacher"] / quick[name], 1))


def in_turn(contenders: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """What each contender measured in each round, after one that does not count."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS + 1):
        for name, measure in contenders.items():
            found[name].append(measure())
    return {name: each[1:] for name, each in found.items()}


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Of one call of so many."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    main()
