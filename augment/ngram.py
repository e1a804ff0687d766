"""N-gram sampling: of a text only a few successive words remain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from transferset.parameters import check_share, check_whole

from ._block import Draft, Step
from ._corpus import Corpus
from ._draws import below, within


@dataclass(frozen=True)
class Ngram:
    """Keeps *only* an n-gram of the text with probability ``rate``, n uniform in ``shortest`` to ``longest``.

    The n-gram may start anywhere, the last position that holds n words included; n is cut to the length of the
    text. (The authors' script never draws the last start, and leaves a text's remaining copies out
    when n does not fit; some reimplementations mask the n-gram instead.)

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.3, n-gram sampling with p_ng = 0.25, n in 1 to 5.

    >>> from augment import preview
    >>> preview(["one two  three"], [Ngram(rate=1.0, shortest=2, longest=2)], copies=2).to_pylist()
    ['one two', 'two  three']

    Raises:
        StillhouseError: a rate outside 0 to 1, or lengths that are not 1 <= shortest <= longest.
    """

    rate: Annotated[float, "share of copies cut to an n-gram, 0 to 1"] = 0.25
    shortest: Annotated[int, "fewest words kept"] = 1
    longest: Annotated[int, "most words kept"] = 5

    def __post_init__(self) -> None:
        check_share("ngram: rate", self.rate)
        check_whole("ngram: shortest", self.shortest, 1)
        check_whole("ngram: longest", self.longest, self.shortest)

    def fit(self, corpus: Corpus) -> Step:
        """N-gram sampling learns nothing from the corpus."""
        return self._edit

    def _edit(self, draft: Draft) -> None:
        # A second n-gram step is cut from what the first one left, with draws of its own.
        name = draft.name("ngram")
        chosen = within(draft.row_draws(name), 0.0, self.rate) & draft.active
        rows = np.flatnonzero(chosen & (draft.high > draft.low))
        length = (draft.high - draft.low)[rows]
        wanted = self.shortest + below(draft.row_draws(f"{name}-length")[rows], self.longest - self.shortest + 1)
        count = np.minimum(wanted, length)
        start = below(draft.row_draws(f"{name}-start")[rows], length - count + 1)
        draft.keep_only("ngram", rows, draft.low[rows] - draft.first[rows] + start, count)
