"""How good embeddings are: how near the teacher's, and whether like texts lie close together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Ensemble, LogitCache, StillhouseError, Task, content_keys

from ._answers import check_finite
from ._compare import Party
from .metrics import Measure, pearson, spearman
from .predict import Predictor

#: Rows embedded at a time.
_ROWS = 1 << 14
Cosines = npt.NDArray[np.float64]
#: The embeddings, (B, width), of B rows.
Embed = Callable[[pa.Table], npt.NDArray[np.float32]]


def nearness(
    students: Mapping[str, Predictor], cache: LogitCache | Ensemble, rows: Mapping[str, pa.Table]
) -> dict[str, Party]:
    """The mean ``cosine`` between each student's embeddings of its B rows and the teacher's.

    Raises:
        StillhouseError: a cache without the rows' embeddings, or of another width.
    """
    teacher, found = _teacher(cache), {}
    for who, student in students.items():
        if student.config.width != cache.widths["embedding"]:
            width = f"{cache.widths['embedding']}, got {student.config.width}"
            raise StillhouseError(f"{who}: must be as wide as the teacher's embedding, {width}")
        found[who] = Party(
            [_mean("cosine", cosines(student.outputs, teacher(student.config.task), rows[who], rows[who]))]
        )
    return found


def likeness(
    students: Mapping[str, Predictor],
    cache: LogitCache | Ensemble | None,
    sides: tuple[pa.ChunkedArray, pa.ChunkedArray],
    gold: npt.NDArray[np.float64],
) -> dict[str, Party]:
    """How far the cosine between the embeddings of two texts goes with a score, (B,): ``pearson`` and ``spearman``.

    With a cache of the single texts also the teacher's, and the ``agreement`` of a student, which is the correlation
    of its cosines with the teacher's.

    Source: Reimers and Gurevych 2019 (Sentence-BERT, arXiv 1908.10084), section 4.1.

    Raises:
        StillhouseError: students that read no single texts, a cache without the texts' embeddings.
    """
    one, other = (pa.table({"text": side}) for side in sides)
    found = {who: cosines(embed, embed, one, other) for who, embed in _text_embeds(students).items()}
    if cache is not None:
        teacher = _teacher(cache)(Task("text", ("text",)))
        found["teacher"] = cosines(teacher, teacher, one, other)
    return {who: Party(_of_likeness(each, gold, found.get("teacher"))) for who, each in found.items()}


def cosines(one: Embed, other: Embed, rows: pa.Table, other_rows: pa.Table) -> Cosines:
    """(B,) the cosine between the embeddings of rows and of others; 0 with a vector of zeros."""
    found = np.zeros(len(rows))
    for start in range(0, len(rows), _ROWS):
        u = one(rows.slice(start, _ROWS)).astype(np.float64)
        v = other(other_rows.slice(start, _ROWS)).astype(np.float64)
        for each in (u, v):
            check_finite("embedding", each)
        lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
        found[start : start + _ROWS] = np.einsum("bh,bh->b", u, v) / np.where(lengths > 0, lengths, 1.0)
    return found


def _teacher(cache: LogitCache | Ensemble) -> Callable[[Task], Embed]:
    """What a cache holds of the rows of a task; raises StillhouseError where it has no embeddings."""
    reader = cache.reader(["embedding"])
    return lambda task: lambda rows: reader.rows(content_keys(task, rows))["embedding"]


def _text_embeds(students: Mapping[str, Predictor]) -> dict[str, Embed]:
    for who, student in students.items():
        if student.config.task.kind != "text":
            raise StillhouseError(
                f"{who}: must read single texts to say how like they are, got {student.config.task.kind}"
            )
    return {who: _text_embed(student) for who, student in students.items()}


def _text_embed(student: Predictor) -> Embed:
    return lambda rows: student.outputs(rows.rename_columns(list(student.config.task.inputs)))


def _of_likeness(cosine: Cosines, gold: Cosines, teacher: Cosines | None) -> list[Measure]:
    linear, ranked = pearson(cosine, gold), spearman(cosine, gold)
    found: list[Measure] = [lambda weights: {"pearson": linear(weights), "spearman": ranked(weights)}]
    if teacher is not None and teacher is not cosine:
        alike = pearson(cosine, teacher)
        found.append(lambda weights: {"agreement": alike(weights)})
    return found


def _mean(name: str, values: Cosines) -> Measure:
    return lambda weights: {name: weights @ values / weights.sum(1)}
