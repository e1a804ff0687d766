"""Student models, what they are trained to match, training, evaluation.

A name is loaded when it is asked for: what predicts from an ONNX file runs where torch is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .evaluate import evaluate
from .objectives import Objective, load_objective, objectives

if TYPE_CHECKING:
    from .predict import answers
    from .reading import Reading
    from .student import Architecture, Student, architecture_name, architectures, load_architecture
    from .trainer import own_names, train
    from .training import Training

_HOME = {
    "Architecture": "student",
    "Reading": "reading",
    "Student": "student",
    "Training": "training",
    "answers": "predict",
    "architecture_name": "student",
    "architectures": "student",
    "load_architecture": "student",
    "own_names": "trainer",
    "train": "trainer",
}

__all__ = [
    "Architecture",
    "Objective",
    "Reading",
    "Student",
    "Training",
    "answers",
    "architecture_name",
    "architectures",
    "evaluate",
    "load_architecture",
    "load_objective",
    "objectives",
    "own_names",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'students' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", "students"), name)
