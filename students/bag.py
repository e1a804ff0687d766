"""A bag of words: the fastest student of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor, nn

from transferset import Task
from transferset.parameters import check_at_least, check_share

from ._text_model import TextModel, is_padding, words_of
from .encoding import Encoding


@dataclass(frozen=True)
class Bag:
    """The mean of a text's word vectors goes through a hidden layer.

    Source: the deep averaging network of Iyyer et al. 2015 (ACL, P15-1162), section 3, with one layer; they drop
    whole words, where this drops entries of vectors.

    >>> import torch
    >>> from students._words import Vocabulary
    >>> task = Task("text", ("text",), classes=("no", "yes"))
    >>> model = Bag(hidden=4, vector_width=6).build(Vocabulary(("good", "film")), task, outputs=2)
    >>> model(torch.tensor([[3, 4, 1], [4, 0, 0]]), torch.tensor([3, 1])).shape
    torch.Size([2, 2])

    Raises:
        StillhouseError: a size below 1 or a dropout outside 0 to 1.
    """

    hidden: Annotated[int, "units of the layer before the outputs"] = 400
    vector_width: Annotated[int, "width of the word vectors"] = 300
    dropout: Annotated[float, "share of vector entries and units dropped in training, 0 to 1"] = 0.1

    kinds: ClassVar[tuple[str, ...]] = ("text", "pair")

    def __post_init__(self) -> None:
        for name in ("hidden", "vector_width"):
            check_at_least(f"bag: {name}", getattr(self, name), 1)
        check_share("bag: dropout", self.dropout)

    def build(self, encoding: Encoding, task: Task, outputs: int) -> TextModel:
        """The network, with fresh weights from torch's generator."""
        return TextModel(self, BagEncoder(self.vector_width), words_of("bag", encoding), task, outputs)


class BagEncoder(nn.Module):
    """(B, E) from word vectors (B, T, E): their mean."""

    def __init__(self, vector_width: int) -> None:
        super().__init__()
        self.width = vector_width

    def forward(self, vectors: Tensor, lengths: Tensor | None) -> Tensor:
        """As ``TextEncoder``."""
        if lengths is None:
            return vectors.mean(1)
        known = vectors.masked_fill(is_padding(lengths, vectors.shape[1]), 0.0)
        return known.sum(1) / lengths[:, None]
