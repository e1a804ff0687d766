"""Masking: words give way to a mask token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from transferset import StillhouseError
from transferset.parameters import check_share

from ._block import Draft, Step
from ._corpus import Corpus


@dataclass(frozen=True)
class Mask:
    """Replaces each word by the mask token with probability ``rate``.

    Punctuation counts as words, as it does in the authors' code. The token is a placeholder: the labeller writes the
    teacher's own mask token in its place, and students have one entry for it. A text that contains the token already
    counts as masked there.

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.3, masking with p_mask = 0.1.

    >>> from augment import preview
    >>> preview(["a fine film", "dull"], [Mask(rate=1.0)]).to_pylist()
    ['[MASK] [MASK] [MASK]', '[MASK]']

    Raises:
        StillhouseError: a rate outside 0 to 1, or a token that is no word in brackets.
    """

    rate: Annotated[float, "share of words masked, 0 to 1"] = 0.1
    token: Annotated[str, "what stands for a masked word"] = "[MASK]"

    def __post_init__(self) -> None:
        check_share("mask: rate", self.rate)
        if not re.fullmatch(r"\[\S+\]|<\S+>", self.token):
            raise StillhouseError(
                f"mask: token must be a word in brackets such as [MASK] or <mask>, got {self.token!r}"
            )

    def fit(self, corpus: Corpus) -> Step:
        """Masking learns nothing from the corpus."""
        return self._edit

    def _edit(self, draft: Draft) -> None:
        places = draft.claim(self.rate)
        token = pa.array([self.token], pa.large_string())
        draft.replace("mask", places, token.take(pa.array(np.zeros(len(places), np.int64))))
