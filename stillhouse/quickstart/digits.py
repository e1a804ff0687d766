"""Handwritten digits as a table, a forest as the teacher, a small network as the student: MUNGE."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from augment import augment_file
from label import load_teacher
from students import Training, load_architecture
from transferset import Source, StillhouseError, Task
from transferset.files import whole_file

from ._stages import Plan, ask, compare, stage
from .table import Line

LABELLED, TEST, COPIES = 200, 797, 20
_PLANS = (
    Plan("gold labels", "gold", Training(epochs=100, batch_size=32)),
    Plan("transfer set", "mse", Training(epochs=20)),
)


def digits(out: Path, seed: int) -> list[Line]:
    """Runs every stage into ``out``; of 1,000 digits in ``train.csv`` 200 have a label."""
    with stage("digits 1. a teacher: extremely randomized trees, fitted to the labelled digits"):
        names = _write_tables(out, seed)
        _fit(out, seed)
    task = Task("features", tuple(names), "digit")
    with stage("digits 2. a transfer set: every digit and its MUNGE copies"):
        augment_file(Source(out / "train.csv"), task, out / "T", "munge", COPIES, seed, progress=True)
    with stage("digits 3. the logit cache"):
        # The file was made above; of some versions of scikit-learn skops does not know the trees.
        teacher = load_teacher(f"sklearn:{out / 'teacher.skops'}", {"trust_pickle": True})
        ask(out, teacher, str(out / "teacher.skops"), out / "test.csv")
    with stage("digits 4. two students"):
        student = load_architecture("mlp", {})
        return compare(out, teacher, [out / "teacher.skops"], out / "test.csv", student, _PLANS, seed)


def _write_tables(out: Path, seed: int) -> list[str]:
    """Writes ``train.csv``, where only some rows have a label, and ``test.csv``; gives the names of the pixels."""
    from sklearn.datasets import load_digits

    known = load_digits()
    order = np.random.default_rng(seed).permutation(len(known.data))
    table = np.column_stack([known.data, known.target]).astype(np.int64)[order]
    names = [str(name) for name in known.feature_names]
    for name, rows, labelled in (("train.csv", table[TEST:], LABELLED), ("test.csv", table[:TEST], TEST)):
        lines = [",".join([*names, "digit"])]
        lines += [
            ",".join(map(str, row if n < labelled else row[:-1])) + "," * (n >= labelled) for n, row in enumerate(rows)
        ]
        with whole_file(out / name) as file:
            file.write("\n".join([*lines, ""]).encode())
    return names


def _fit(out: Path, seed: int) -> None:
    """Fits the teacher to the rows that have a label, and writes it."""
    try:
        import skops.io
    except ImportError:
        raise StillhouseError(
            "quickstart: must have skops, got none: run `pip install 'stillhouse[quickstart]'`"
        ) from None
    from sklearn.ensemble import ExtraTreesClassifier

    rows = np.genfromtxt(out / "train.csv", delimiter=",", skip_header=1)[:LABELLED]
    forest = ExtraTreesClassifier(500, random_state=seed).fit(rows[:, :-1], rows[:, -1].astype(np.int64))
    with whole_file(out / "teacher.skops") as file:
        skops.io.dump(forest, file)
