"""Augmenters, recipes, and the engine that turns a small data set into a transfer set."""

from ._compose import InSequence, OneOf
from ._rows import PAIRS
from .engine import augment_file, default_recipe
from .mask import Mask
from .memory import augment, preview
from .ngram import Ngram
from .pos import Pos
from .recipe import Augmenter, Recipe, load_recipe, published

__all__ = [
    "PAIRS",
    "Augmenter",
    "InSequence",
    "Mask",
    "Ngram",
    "OneOf",
    "Pos",
    "Recipe",
    "augment",
    "augment_file",
    "default_recipe",
    "load_recipe",
    "preview",
    "published",
]
