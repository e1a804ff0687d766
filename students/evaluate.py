"""Measures a student on a labelled file, beside its teacher and another student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Ensemble, LogitCache, Source, StillhouseError, Task, content_keys, read_rows
from transferset.parameters import check_whole
from transferset.tables import FeatureTypes

from ._answers import check_finite
from ._compare import Party, compare
from ._gold import Targets, gold_targets
from ._intervals import Counts, distinct_rows
from ._similarity import likeness, nearness
from .calibration import calibration, divergence
from .cost import cost
from .metrics import Logits, agreement_of, decisions, measure_of
from .predict import Predictor

Cache = LogitCache | Ensemble
#: What is compared, and how many rows there are of each kind, (U,).
Compared = tuple[Mapping[str, Party], Counts]


def evaluate(
    student: Predictor,
    source: Source,
    cache: Cache | None = None,
    label: str | None = None,
    baseline: Predictor | None = None,
    pair: tuple[str, str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    place: Path | str | None = None,
) -> dict[str, Any]:
    """The figures of a student on a labelled file, as plain values.

    ``rows`` and the task's metrics (see ``metrics.scores``); ``ece``, ``brier`` and ``nll`` (see ``calibration``);
    with a cache of the file's rows the ``agreement`` with the teacher, ``kl`` (see ``divergence``), and under
    ``teacher`` the same figures of the teacher's. Under ``baseline`` stand those of another student for the same
    classes, and under ``difference`` what the student has more. Each of these has ``intervals``: between which
    values, for 95 % of ``resamples`` of the rows, the metrics and the agreement are; there are none for 0 resamples.
    With ``place``, the student's directory or file, ``cost`` has its size and speed (see ``cost.cost``).

    A student of embeddings needs a cache, and has ``cosine``, the mean of those with the teacher's embeddings; no
    label takes part. Or ``pair`` names two columns of texts, and ``label`` a score of how like they are: then
    ``pearson`` and ``spearman`` are correlations of the cosine between the two embeddings with the score, and so are
    the teacher's, from a cache of the single texts.

    ``label`` is the column of the gold label where it is another than in training, or there was none.

    Raises:
        StillhouseError: as ``read_labelled``; a cache that lacks the file's rows; a baseline for other classes.
    """
    students = {"student": student, **({"baseline": baseline} if baseline is not None else {})}
    _check_alike(students)
    check_whole("evaluate: resamples", resamples, 0)
    check_whole("evaluate: seed", seed, 0)
    if pair is not None:
        rows, compared = _pairs(students, source, cache, label, pair)
    elif student.config.output == "embedding":
        rows, compared = _embeddings(students, source, cache)
    else:
        rows, compared = _answers(students, source, cache, label)
    parties, counts = compared
    found = {"rows": len(rows), **compare(parties, counts, resamples, seed)}
    return {**found, "cost": cost(student, Path(place), rows)} if place is not None else found


def read_labelled(source: Source, task: Task, types: FeatureTypes | None = None) -> pa.Table:
    """The rows of a labelled file in the columns of a task; ``types`` are those of features, see ``Encoding.types``.

    Raises:
        StillhouseError: a missing column, a label outside the classes, a file without labels or rows.
    """
    if task.label is None:
        raise StillhouseError(
            f"{source.path}: must have gold labels to measure by: the transfer set had none, so say --label COLUMN"
        )
    table = _read(source, task, types)
    labelled = table.filter(table[task.label].is_valid())
    if not len(labelled):
        raise StillhouseError(f"{source.path}: column {task.label!r} must hold labels, got only empty cells")
    return labelled


def _read(source: Source, task: Task, types: FeatureTypes | None) -> pa.Table:
    batches = list(read_rows(source, task, types))
    if not sum(len(batch) for batch in batches):
        raise StillhouseError(f"{source.path}: must hold at least one row, got none")
    return pa.Table.from_batches(batches)


def _check_alike(students: Mapping[str, Predictor]) -> None:
    """Raises StillhouseError where two students do not answer one question."""
    questions = {who: _question(each) for who, each in students.items()}
    if len(set(questions.values())) > 1:
        raise StillhouseError(
            f"baseline: must give what the student gives, {questions['student']}, got {questions['baseline']}"
        )


def _question(student: Predictor) -> str:
    task = student.config.task
    if student.config.output == "embedding":
        return "embeddings"
    return f"{task.target} of {', '.join(sorted(task.classes))}" if task.classes else "a score"


def _answers(
    students: Mapping[str, Predictor], source: Source, cache: Cache | None, label: str | None
) -> tuple[pa.Table, Compared]:
    """Students of logits, beside the gold labels and the teacher."""
    task = students["student"].config.task
    task = replace(task, label=label or task.label)
    tables, logits = {}, {}
    for who, student in students.items():
        # Each reads the columns, and the types of them, that it was trained on.
        own = replace(student.config.task, label=task.label)
        tables[who] = read_labelled(source, own, student.config.encoding.types)
        order = [own.classes.index(name) for name in task.classes] or [0]
        logits[who] = student.outputs(tables[who])[:, order]
        check_finite(who, logits[who])
    table = tables["student"]
    gold, _ = gold_targets(table[task.label], task)
    if cache is not None:
        logits["teacher"] = cache.logits(content_keys(task, table), task)
    return table, _answering(logits, gold, task)


def _answering(logits: Mapping[str, Logits], gold: Targets, task: Task) -> Compared:
    decided = {who: decisions(each, task) for who, each in logits.items()}
    first, counts = distinct_rows([gold[:, 0] if task.target == "regression" else gold, *decided.values()])
    teacher, parties = logits.get("teacher"), {}
    for who, each in logits.items():
        measures = [measure_of(decided[who][first], gold[first], task)]
        figures = calibration(each, gold, task)
        if teacher is not None and who != "teacher":
            measures.append(agreement_of(decided[who][first], decided["teacher"][first]))
            figures |= divergence(teacher, each, task)
        parties[who] = Party(measures, figures)
    return parties, counts


def _embeddings(students: Mapping[str, Predictor], source: Source, cache: Cache | None) -> tuple[pa.Table, Compared]:
    """Students of embeddings, beside the teacher's; no labels take part."""
    if cache is None:
        raise StillhouseError(
            "evaluate: a student of embeddings must have a teacher to be measured by, or pairs of texts: give --cache,"
            " or --text COLUMN, --text-pair COLUMN and --label COLUMN"
        )
    rows = {
        who: _read(source, replace(student.config.task, label=None), student.config.encoding.types)
        for who, student in students.items()
    }
    return rows["student"], (nearness(students, cache, rows), _once(rows["student"]))


def _pairs(
    students: Mapping[str, Predictor], source: Source, cache: Cache | None, label: str | None, pair: tuple[str, str]
) -> tuple[pa.Table, Compared]:
    """Students of embeddings, on pairs of texts and how like they are."""
    student = students["student"]
    if student.config.output != "embedding":
        raise StillhouseError("evaluate: --text and --text-pair must be for a student of embeddings, got one of logits")
    if label is None:
        raise StillhouseError("evaluate: --text-pair must have a score to be measured by: say --label COLUMN")
    rows = read_labelled(source, Task("pair", pair, label, "regression"))
    gold: npt.NDArray[np.float64] = rows[label].to_numpy()
    parties = likeness(students, cache, (rows[pair[0]], rows[pair[1]]), gold)
    return pa.table({student.config.task.inputs[0]: rows[pair[0]]}), (parties, _once(rows))


def _once(rows: pa.Table) -> Counts:
    return np.ones(len(rows), np.int64)
