"""A small network for tables: the student of Bucila et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, cast

import torch
from torch import Tensor, nn

from transferset import StillhouseError, Task
from transferset.parameters import check_at_least, check_share

from ._features import Features
from .encoding import Encoding


@dataclass(frozen=True)
class Mlp:
    """Scaled numbers and a learned vector for each category go through layers of GELU units.

    Source: Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", and Ba and Caruana 2014 (arXiv 1312.6184),
    whose students have one hidden layer; here there are two: on Letter 128 and 128 units were 1.3 points better than
    256 in one, and GELU (arXiv 1606.08415) 0.2 points better than ReLU. Vectors of categories as in Guo and Berkhahn
    2016 (arXiv 1604.06737); their width for c codes is (c + 1) // 2 + 1, at most 50. A category that was
    never seen starts, and where none was missing stays, a vector of zeros.

    >>> from students._features import learn_features
    >>> import pyarrow as pa
    >>> task = Task("features", ("height", "kind"), classes=("no", "yes"))
    >>> features = learn_features([pa.table({"height": [1, 2, 3], "kind": ["b", "a", "b"]})], task)
    >>> model = Mlp(width=8).build(features, task, outputs=2)
    >>> model(torch.tensor([[0.5], [-1.0]]), torch.tensor([[1], [0]])).shape
    torch.Size([2, 2])

    Raises:
        StillhouseError: a size below 1 or a dropout outside 0 to 1.
    """

    width: Annotated[int, "units of a layer"] = 128
    layers: Annotated[int, "layers before the outputs"] = 2
    dropout: Annotated[float, "share of units dropped in training, 0 to 1"] = 0.0

    kinds: ClassVar[tuple[str, ...]] = ("features",)

    def __post_init__(self) -> None:
        for name in ("width", "layers"):
            check_at_least(f"mlp: {name}", getattr(self, name), 1)
        check_share("mlp: dropout", self.dropout)

    def build(self, encoding: Encoding, task: Task, outputs: int) -> MlpModel:
        """The network, with fresh weights from torch's generator; raises StillhouseError for an encoding of texts."""
        if encoding.kind != "features":
            raise StillhouseError("mlp: must be given features, got texts: use --student bilstm, bag or cnn")
        return MlpModel(self, cast(Features, encoding), outputs)


class MlpModel(nn.Module):
    """The network; ``categories`` are the vectors of each column of categories."""

    def __init__(self, size: Mlp, features: Features, outputs: int) -> None:
        super().__init__()
        widths = [min(50, (codes + 1) // 2 + 1) for codes in features.cardinalities]
        self.categories = nn.ModuleList(map(nn.Embedding, features.cardinalities, widths))
        with torch.no_grad():
            for each in self.categories:
                cast(nn.Embedding, each).weight[0] = 0
        layers: list[nn.Module] = []
        width = features.numbers + sum(widths)
        for _ in range(size.layers):
            layers += [nn.Linear(width, size.width), nn.GELU(), nn.Dropout(size.dropout)]
            width = size.width
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(width, outputs)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """(B, outputs) of numbers, (B, F), and codes of categories, (B, K)."""
        vectors = [each(codes[:, place]) for place, each in enumerate(self.categories)]
        outputs: Tensor = self.output(self.layers(torch.cat([numbers, *vectors], 1)))
        return outputs
