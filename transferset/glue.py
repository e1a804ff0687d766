"""What is learned from what in the tasks of GLUE, so that their names say it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .task import Target, Task

_ONE = (("sentence",), "label")
_TWO = (("sentence1", "sentence2"), "label")
_PREMISE = (("premise", "hypothesis"), "label")
#: Of each task the inputs and the label: as the hub's data set calls them, then as the published files do.
COLUMNS: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "ax": (_PREMISE,),
    "cola": (_ONE,),
    "mnli": (_PREMISE, (("sentence1", "sentence2"), "gold_label")),
    "mrpc": (_TWO, (("#1 String", "#2 String"), "Quality")),
    "qnli": ((("question", "sentence"), "label"),),
    "qqp": ((("question1", "question2"), "label"), (("question1", "question2"), "is_duplicate")),
    "rte": (_TWO,),
    "sst2": (_ONE,),
    "stsb": (_TWO, (("sentence1", "sentence2"), "score")),
    "wnli": (_TWO,),
}


def glue_task(path: Path | str, columns: Sequence[str]) -> Task | None:
    """The task of a GLUE data set, told by its name (``glue/mrpc``, ``STS-B/train.tsv``) and its columns.

    None where the name is not one of GLUE's, or the columns are others. Without a column of labels there is no label.

    >>> task = glue_task("glue/mrpc:validation", ["sentence1", "sentence2", "label", "idx"])
    >>> task.kind, task.inputs, task.label, task.target
    ('pair', ('sentence1', 'sentence2'), 'label', 'classification')
    >>> glue_task("STS-B/train.tsv", ["index", "sentence1", "sentence2", "score"]).target
    'regression'
    >>> glue_task("reviews/train.tsv", ["sentence", "label"]) is None
    True

    Source: Wang et al. 2019 (arXiv 1804.07461), table 1.
    """
    place = Path(str(path).partition(":")[0])
    names = [_plain(place.name), _plain(place.parent.name)]
    name = next((each for each in names if each in COLUMNS), None)
    known = [each for each in COLUMNS.get(name or "", ()) if set(each[0]) <= set(columns)]
    if not known:
        return None
    inputs, label = next((each for each in known if each[1] in columns), (known[0][0], None))
    target: Target = "regression" if name == "stsb" else "classification"
    return Task("text" if len(inputs) == 1 else "pair", inputs, label, target)


def _plain(name: str) -> str:
    """A name as the keys of ``COLUMNS`` are spelt: ``SST-2`` is ``sst2``; both halves of MNLI's dev set are MNLI."""
    return re.sub(r"_(mis)?matched$|[-_]", "", name.lower())
