"""Student models, what they are trained to match, training, evaluation."""

from ._run import Training
from .evaluate import evaluate, inputs_of
from .objectives import Objective, load_objective, objectives
from .predict import answers
from .student import Architecture, Student, architecture_name, architectures, load_architecture
from .trainer import OWN_FILES, train

__all__ = [
    "OWN_FILES",
    "Architecture",
    "Objective",
    "Student",
    "Training",
    "answers",
    "architecture_name",
    "architectures",
    "evaluate",
    "inputs_of",
    "load_architecture",
    "load_objective",
    "objectives",
    "train",
]
