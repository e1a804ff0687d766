"""What the students of a report, and their teacher, make of a labelled file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from students import Student, evaluate
from students.answered import Answered, answered
from transferset import Ensemble, LogitCache, Source, StillhouseError

from ._runs import Run


@dataclass(frozen=True)
class Yardstick:
    """What the students are measured on, and how.

    Attributes:
        source: labelled rows.
        cache: what the teacher said of them.
        label: the column of the gold label, where it is another than in training.
        resamples: bootstrap resamples for the intervals.
        speed: whether latency and throughput are measured.
    """

    source: Source
    cache: LogitCache | Ensemble | None = None
    label: str | None = None
    resamples: int = 1000
    seed: int = 0
    speed: bool = True

    def teaches(self, run: Run) -> bool:
        """Whether the teacher's answers of the kind that a student gives are there."""
        return self.cache is not None and run.output in self.cache.widths


@dataclass(frozen=True)
class Measured:
    """A student's size, and its figures as ``students.evaluate`` gives them; none where it cannot be measured."""

    parameters: int
    vectors: int
    bytes: int
    figures: Mapping[str, Any]


def closely(run: Run, test: Yardstick) -> Answered:
    """What a student, and the teacher, say of each row; raises as ``students.answered``."""
    return answered(Student.load(run.place or ""), test.source, test.cache if test.teaches(run) else None, test.label)


def measure(runs: Sequence[Run], test: Yardstick | None, progress: bool = False) -> list[Measured | None]:
    """Sizes and figures of the students; None of what has no directory.

    Raises:
        StillhouseError: students of different classes, a file or a cache that does not fit.
    """
    students = [run for run in runs if run.place is not None]
    _check_alike(students)
    if test is not None and test.cache is not None and not any(map(test.teaches, students)):
        wanted, got = sorted({run.output for run in students}), ", ".join(test.cache.widths) or "no signals"
        raise StillhouseError(f"{test.cache.path}: must hold {' or '.join(wanted) or 'logits'}, got {got}")
    bar = tqdm(runs, "measuring", unit=" students", leave=False, disable=not progress)
    return [None if run.place is None else _measured(run, run.place, test) for run in bar]


def _check_alike(students: Sequence[Run]) -> None:
    """Raises StillhouseError where two students of logits do not answer one question."""
    questions: dict[tuple[str, tuple[str, ...]], str] = {}
    for run in students:
        if run.task is not None and run.output == "logits":
            questions.setdefault((run.task.target, tuple(sorted(run.task.classes))), run.name)
    if len(questions) > 1:
        said = [
            f"{target} of {', '.join(classes) or 'a score'} ({name})" for (target, classes), name in questions.items()
        ]
        raise StillhouseError(f"report: students must answer one question, got {' and '.join(said[:2])}")


def _measured(run: Run, place: Path, test: Yardstick | None) -> Measured:
    student = Student.load(place)
    sizes = {name: each.numel() for name, each in student.model.state_dict().items()}
    files = ("config.json", "model.safetensors", *student.encoding.files())
    figures: dict[str, Any] = {}
    # An embedding is measured by the teacher's alone.
    if test is not None and (run.output == "logits" or test.teaches(run)):
        figures = evaluate(
            student,
            test.source,
            test.cache if test.teaches(run) else None,
            test.label if run.output == "logits" else None,
            resamples=test.resamples,
            seed=test.seed,
            place=place if test.speed else None,
        )
    size = sum((place / name).stat().st_size for name in files)
    return Measured(sum(sizes.values()), sizes.get("vectors.weight", 0), size, figures)
