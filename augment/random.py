"""Random values: the control that says what neighbours are worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ._corpus import Corpus
from ._draws import below, position_draws
from ._features import FeatureDraft, FeatureStep


@dataclass(frozen=True)
class Random:
    """Copies in which every cell is drawn, independently, from the values its column has in the source.

    A value that occurs twice is twice as likely, and a missing one is drawn as any other: columns keep their
    distributions and lose all that ties them together. The paper's RANDOM; it too draws from the training set.

    Source: Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", section 2.

    >>> from augment import augment
    >>> copies = augment(pa.table({"height": [1, 2, 9], "kind": ["a", "b", None]}), [Random()], copies=20)
    >>> set(copies["kind"].to_pylist()) == {"a", "b", None}
    True
    """

    edits: ClassVar[str] = "features"

    def fit(self, corpus: Corpus) -> FeatureStep:
        """The columns themselves are what to draw from."""
        return partial(_edit, corpus.table())


def _edit(table: pa.Table, draft: FeatureDraft) -> None:
    of_row = draft.row_draws(draft.name("random"))
    for number, column in enumerate(table.columns):
        drawn = below(position_draws(of_row, np.full(len(of_row), number, np.int32)), len(column))
        draft.replace("random", number, column.take(pa.array(drawn)).combine_chunks())
