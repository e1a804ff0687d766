"""Augmenters, recipes, and the engine that turns a small data set into a transfer set."""

from .engine import augment_file, preview
from .mask import Mask
from .ngram import Ngram
from .pos import Pos
from .recipe import Augmenter, Recipe, load_recipe, published

__all__ = ["Augmenter", "Mask", "Ngram", "Pos", "Recipe", "augment_file", "load_recipe", "preview", "published"]
