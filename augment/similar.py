"""A gate: copies that keep too little of the original are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from transferset.parameters import check_whole

from ._block import Draft, Step
from ._corpus import Corpus


@dataclass(frozen=True)
class Similar:
    """Drops the copies of which fewer than ``words`` words are left as they were.

    Stands after the rules it judges. Of a pair both edited texts must pass. A text without words passes. A word
    that was replaced by itself counts as replaced.

    Source: the authors' code to Tang et al. 2019, which drops a copy when every word of it was changed (for single
    sentences; here for pairs too).

    >>> from augment import Mask, augment
    >>> augment(["a b"], [Mask(rate=0.5), Similar(words=1)], copies=50)["text"].to_pylist()
    ['a b', 'a [MASK]', '[MASK] b']

    Raises:
        StillhouseError: fewer than no words.
    """

    words: Annotated[int, "fewest words left as they were"] = 1

    def __post_init__(self) -> None:
        check_whole("similar: words", self.words, 0)

    def fit(self, corpus: Corpus) -> Step:
        """The gate learns nothing from the corpus."""
        return self._edit

    def _edit(self, draft: Draft) -> None:
        has_words = np.diff(draft.first) > 0
        draft.dropped[has_words & draft.active & (draft.untouched() < self.words)] = True
