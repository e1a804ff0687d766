"""A bidirectional LSTM over words: the student of Tang et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from transferset.parameters import check_at_least, check_share


@dataclass(frozen=True)
class Bilstm:
    """One bidirectional LSTM layer; its two last states go through a hidden layer to the logits.

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.2: 150 units each way, ReLU layer of 400, word vectors of
    width 300. They feed two copies of the vectors, one frozen; here there is one, trained.

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

        Padding changes nothing: each direction's state is read where the text ends.
        """
        vectors = self.dropout(self.vectors(ids))
        last = lengths - 1
        # Each text turned round in its own length, so that both directions read from the left and padding comes last.
        steps = torch.arange(ids.shape[1], device=ids.device)
        turned = (last[:, None] - steps).clamp(min=0)
        reverse = vectors.gather(1, turned[:, :, None].expand_as(vectors))
        rows = torch.arange(ids.shape[0], device=ids.device)
        both = torch.cat([self.forwards(vectors)[0][rows, last], self.backwards(reverse)[0][rows, last]], dim=1)
        logits: Tensor = self.output(self.dropout(torch.relu(self.hidden(both))))
        return logits
