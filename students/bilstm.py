"""A bidirectional LSTM over words: the student of Tang et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from transferset import Task
from transferset.parameters import check_at_least, check_share

from ._text_model import TextModel, is_padding, words_of
from .encoding import Encoding


@dataclass(frozen=True)
class Bilstm:
    """One bidirectional LSTM layer; the largest value of each unit over the words goes through a hidden layer.

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.1: 150 units each way, ReLU layer of 400, word vectors of
    width 300; for pairs the same network reads both texts. They read the two last states, where this takes the maximum
    over the words (Conneau et al. 2017, arXiv 1705.02364, section 3.2.2), which was measured to come closer to the
    teacher; and they feed two copies of the vectors, one frozen, where here there is one, trained.

    >>> from students._words import Vocabulary
    >>> task = Task("text", ("text",), classes=("no", "yes"))
    >>> model = Bilstm(width=8, hidden=4, vector_width=6).build(Vocabulary(("good", "film")), task, outputs=2)
    >>> model(torch.tensor([[3, 4, 1], [4, 0, 0]]), torch.tensor([3, 1])).shape
    torch.Size([2, 2])

    Raises:
        StillhouseError: a size below 1 or a dropout outside 0 to 1.
    """

    width: Annotated[int, "units of the LSTM in each direction"] = 150
    hidden: Annotated[int, "units of the layer before the outputs"] = 400
    vector_width: Annotated[int, "width of the word vectors"] = 300
    dropout: Annotated[float, "share of vector entries and units dropped in training, 0 to 1"] = 0.1

    kinds: ClassVar[tuple[str, ...]] = ("text", "pair")

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "vector_width"):
            check_at_least(f"bilstm: {name}", getattr(self, name), 1)
        check_share("bilstm: dropout", self.dropout)

    def build(self, encoding: Encoding, task: Task, outputs: int) -> TextModel:
        """The network, with fresh weights from torch's generator."""
        words = words_of("bilstm", encoding)
        return TextModel(self, BilstmEncoder(self.vector_width, self.width), words, task, outputs)


class BilstmEncoder(nn.Module):
    """(B, 2 H) from word vectors (B, T, E): the largest value of each unit over the words."""

    def __init__(self, vector_width: int, width: int) -> None:
        super().__init__()
        self.width = 2 * width
        self.forwards = nn.LSTM(vector_width, width, batch_first=True)
        self.backwards = nn.LSTM(vector_width, width, batch_first=True)

    def forward(self, vectors: Tensor, lengths: Tensor | None) -> Tensor:
        """As ``TextEncoder``."""
        if lengths is None:
            # The maximum does not mind in which order the states stand.
            states = torch.cat([_states(self.forwards, vectors), _states(self.backwards, vectors.flip(1))], dim=2)
            return states.amax(1)
        # Each text turned round in its own length, so that the second direction too meets padding last.
        steps = torch.arange(vectors.shape[1], device=vectors.device)
        turned = (lengths[:, None] - 1 - steps).clamp(min=0)
        reverse = vectors.gather(1, turned[:, :, None].expand_as(vectors))
        states = torch.cat([_states(self.forwards, vectors), _states(self.backwards, reverse)], dim=2)
        # A state lies between -1 and 1, so -2 never is the largest.
        return states.masked_fill(is_padding(lengths, vectors.shape[1]), -2.0).amax(1)


def _states(lstm: nn.LSTM, vectors: Tensor) -> Tensor:
    """(B, T, H); under autocast in its type, for on the processor autocast passes LSTMs over."""
    if torch.is_autocast_enabled("cpu") and not vectors.is_cuda:
        kind = torch.get_autocast_dtype("cpu")
        weights = {name: each.to(kind) for name, each in lstm.named_parameters()}
        states: Tensor = functional_call(lstm, weights, vectors.to(kind))[0]
        return states
    return lstm(vectors)[0]  # type: ignore[no-any-return]
