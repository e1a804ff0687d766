"""Teachers, and the labeller that asks one once for every distinct row."""

from .engine import Labelled, label
from .huggingface import Huggingface
from .teacher import Encoded, Teacher

__all__ = ["Encoded", "Huggingface", "Labelled", "Teacher", "label"]
