"""A convolutional network over words: the student of Kim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from transferset import Task
from transferset.parameters import check_at_least, check_share

from ._text_model import TextModel, is_padding, words_of
from .encoding import Encoding


@dataclass(frozen=True)
class Cnn:
    """Filters over one to several words in a row; the largest answer of each filter goes through a hidden layer.

    Source: Kim 2014 (arXiv 1408.5882), section 2: filters of 3, 4 and 5 words, 100 of each, maximum over the words. He
    has no hidden layer and drops half of the maxima. A text is read as if words of zeros stood around it, so that
    one shorter than a filter has an answer too.

    >>> from students._words import Vocabulary
    >>> task = Task("text", ("text",), classes=("no", "yes"))
    >>> model = Cnn(filters=8, hidden=4, vector_width=6).build(Vocabulary(("good", "film")), task, outputs=2)
    >>> model(torch.tensor([[3, 4, 1], [4, 0, 0]]), torch.tensor([3, 1])).shape
    torch.Size([2, 2])

    Raises:
        StillhouseError: a size below 1, a shortest filter longer than the longest, a dropout outside 0 to 1.
    """

    filters: Annotated[int, "filters of each length"] = 100
    shortest: Annotated[int, "words that the shortest filter spans"] = 3
    longest: Annotated[int, "words that the longest filter spans"] = 5
    hidden: Annotated[int, "units of the layer before the outputs"] = 400
    vector_width: Annotated[int, "width of the word vectors"] = 300
    dropout: Annotated[float, "share of vector entries and units dropped in training, 0 to 1"] = 0.1

    kinds: ClassVar[tuple[str, ...]] = ("text", "pair")

    def __post_init__(self) -> None:
        for name in ("filters", "shortest", "hidden", "vector_width"):
            check_at_least(f"cnn: {name}", getattr(self, name), 1)
        check_at_least("cnn: longest", self.longest, self.shortest)
        check_share("cnn: dropout", self.dropout)

    def build(self, encoding: Encoding, task: Task, outputs: int) -> TextModel:
        """The network, with fresh weights from torch's generator."""
        spans = range(self.shortest, self.longest + 1)
        encoder = CnnEncoder(self.vector_width, self.filters, spans)
        return TextModel(self, encoder, words_of("cnn", encoding), task, outputs)


class CnnEncoder(nn.Module):
    """(B, filters x spans) from word vectors (B, T, E): the largest answer of each filter, at least 0."""

    def __init__(self, vector_width: int, filters: int, spans: range) -> None:
        super().__init__()
        self.width, self.spans = filters * len(spans), spans
        self.filters = nn.ModuleList(nn.Conv1d(vector_width, filters, span, padding=span - 1) for span in spans)

    def forward(self, vectors: Tensor, lengths: Tensor | None) -> Tensor:
        """As ``TextEncoder``."""
        tokens = vectors.shape[1]
        if lengths is not None:
            vectors = vectors.masked_fill(is_padding(lengths, tokens), 0.0)
        found = []
        for filters, span in zip(self.filters, self.spans, strict=True):
            answers = torch.relu(filters(vectors.transpose(1, 2)))
            if lengths is not None:
                # As many places have a word under the filter as if the text ended here.
                more = span - 1
                answers = answers.masked_fill(is_padding(lengths + more, tokens + more).transpose(1, 2), 0.0)
            found.append(answers.amax(2))
        return torch.cat(found, 1)
