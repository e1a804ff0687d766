"""What all students of texts share: word vectors below, a small network of layers above, pairs side by side."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from transferset import StillhouseError, Task

from ._tokens import PAD
from .encoding import Encoding


class TextSizes(Protocol):
    """The sizes that every architecture for texts has."""

    @property
    def hidden(self) -> int: ...
    @property
    def vector_width(self) -> int: ...
    @property
    def dropout(self) -> float: ...


class TextEncoder(Protocol):
    """A module that makes one vector of a text's vectors."""

    width: int

    def __call__(self, vectors: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, W) of word vectors (B, T, E) and lengths (B,), or None where all texts are T words long."""
        ...


class TextModel(nn.Module):
    """Word vectors, an encoder, and two layers; the same encoder reads both texts of a pair.

    Of a pair with encodings u and v the layers read [u, v, |u - v|, u * v].

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.1, after Conneau et al. 2017 (arXiv 1705.02364).
    """

    def __init__(self, size: TextSizes, encoder: nn.Module, words: int, task: Task, outputs: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(words, size.vector_width, padding_idx=PAD)
        self.encoder = encoder
        width = cast(TextEncoder, encoder).width * (4 if task.kind == "pair" else 1)
        self.dropout = nn.Dropout(size.dropout)
        self.hidden = nn.Linear(width, size.hidden)
        self.output = nn.Linear(size.hidden, outputs)

    def forward(
        self, ids: Tensor, lengths: Tensor, other_ids: Tensor | None = None, other_lengths: Tensor | None = None
    ) -> Tensor:
        """(B, outputs) of word ids, (B, T), padded to lengths, (B,), of at least 1; padding changes nothing."""
        read = self._encode(ids, lengths)
        if other_ids is not None and other_lengths is not None:
            other = self._encode(other_ids, other_lengths)
            read = torch.cat([read, other, (read - other).abs(), read * other], dim=1)
        with torch.autocast(read.device.type, enabled=False):
            hidden = torch.relu(self.hidden(self.dropout(read)))
            outputs: Tensor = self.output(self.dropout(hidden))
        return outputs

    def _encode(self, ids: Tensor, lengths: Tensor) -> Tensor:
        vectors = self.vectors(ids)
        if self.training and self.dropout.p:
            # One draw for all words of a text, after Gal and Ghahramani 2016 (arXiv 1512.05287): fewer random numbers.
            vectors = vectors * self.dropout(vectors.new_ones(len(ids), 1, vectors.shape[2]))
        encoder = cast(TextEncoder, self.encoder)
        # What the encoder computed in bfloat16 ends here: all behind it would be of three digits.
        return encoder(vectors, None if _are_whole(ids, lengths) else lengths).float()


def _are_whole(ids: Tensor, lengths: Tensor) -> bool:
    """Whether no text is padded; while the network is being exported, that depends on texts to come."""
    if torch.compiler.is_compiling():
        return False
    return bool((lengths == ids.shape[1]).all())


def is_padding(lengths: Tensor, tokens: int) -> Tensor:
    """(B, tokens, 1) which places lie behind the end of their text."""
    return (torch.arange(tokens, device=lengths.device) >= lengths[:, None])[:, :, None]


def words_of(name: str, encoding: Encoding) -> int:
    """V, how many vectors a student of texts needs; raises StillhouseError for an encoding of features."""
    if encoding.kind == "features":
        raise StillhouseError(f"{name}: must be given texts or pairs of texts, got features: use --student mlp")
    return len(encoding)  # type: ignore[arg-type]
