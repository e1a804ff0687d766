"""Augmenters, recipes, and the engine that turns a small data set into a transfer set."""

from ._choose import RETRIES
from ._compose import InSequence, OneOf
from ._rows import PAIRS
from .engine import augment_file, default_recipe
from .mask import Mask
from .memory import augment, preview
from .mlm import Mlm
from .munge import Munge
from .ngram import Ngram
from .pos import Pos
from .random import Random
from .recipe import Augmenter, Recipe, load_recipe, published
from .similar import Similar
from .summary import Summary, summarize
from .vectors import Vectors

__all__ = [
    "PAIRS",
    "RETRIES",
    "Augmenter",
    "InSequence",
    "Mask",
    "Mlm",
    "Munge",
    "Ngram",
    "OneOf",
    "Pos",
    "Random",
    "Recipe",
    "Similar",
    "Summary",
    "Vectors",
    "augment",
    "augment_file",
    "default_recipe",
    "load_recipe",
    "preview",
    "published",
    "summarize",
]
