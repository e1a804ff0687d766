"""A bidirectional LSTM over words: the student of Tang et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from transferset.parameters import check_at_least, check_share


@dataclass(frozen=True)
class Bilstm:
    """One bidirectional LSTM layer; the largest value of each unit over the words goes through a hidden layer.

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.2: 150 units each way, ReLU layer of 400, word vectors of
    width 300. They read the two last states, where this takes the maximum over the words (Conneau et al. 2017,
    arXiv 1705.02364, section 3.2.2), which was measured to come closer to the teacher; and they feed two copies of the
    vectors, one frozen, where here there is one, trained.

    >>> model = Bilstm(width=8, hidden=4, vector_width=6).build(words=20, outputs=2)
    >>> model(torch.tensor([[3, 4, 5], [6, 0, 0]]), torch.tensor([3, 1])).shape
    torch.Size([2, 2])

    Raises:
        StillhouseError: a size below 1 or a dropout outside 0 to 1.
    """

    width: Annotated[int, "units of the LSTM in each direction"] = 150
    hidden: Annotated[int, "units of the layer before the logits"] = 400
    vector_width: Annotated[int, "width of the word vectors"] = 300
    dropout: Annotated[float, "share of vector entries and units dropped in training, 0 to 1"] = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "vector_width"):
            check_at_least(f"bilstm: {name}", getattr(self, name), 1)
        check_share("bilstm: dropout", self.dropout)

    def build(self, words: int, outputs: int) -> BilstmModel:
        """The network for V words and C outputs, with fresh weights from torch's generator."""
        return BilstmModel(self, words, outputs)


class BilstmModel(nn.Module):
    """The network; ``vectors`` is its table of word vectors, (V, E)."""

    def __init__(self, size: Bilstm, words: int, outputs: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, size.vector_width, padding_idx=0, sparse=True)
        self.forwards = nn.LSTM(size.vector_width, size.width, batch_first=True)
        self.backwards = nn.LSTM(size.vector_width, size.width, batch_first=True)
        self.dropout = nn.Dropout(size.dropout)
        self.hidden = nn.Linear(2 * size.width, size.hidden)
        self.output = nn.Linear(size.hidden, outputs)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits, (B, C), of word ids, (B, T), padded at the end to the lengths, (B,) of at least 1.

        Padding changes nothing: both directions read a text before its padding, and the maximum leaves padding out.
        """
        vectors = self.dropout(self.vectors(ids))
        steps = torch.arange(ids.shape[1], device=ids.device)
        # Each text turned round in its own length, so that the second direction too meets padding last.
        turned = (lengths[:, None] - 1 - steps).clamp(min=0)
        reverse = vectors.gather(1, turned[:, :, None].expand_as(vectors))
        padding = (steps >= lengths[:, None])[:, :, None]
        states = torch.cat([self.forwards(vectors)[0], self.backwards(reverse)[0]], dim=2)
        # A state lies between -1 and 1, so -2 never is the largest.
        largest = states.masked_fill(padding, -2.0).amax(1)
        logits: Tensor = self.output(self.dropout(torch.relu(self.hidden(largest))))
        return logits
