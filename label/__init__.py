"""Teachers, and the labeller that asks one once for every distinct row."""

from .engine import Labelled, label
from .ensemble import label_ensemble
from .spec import load_teacher, load_teachers, teachers
from .teacher import Answers, Description, Loaded, Request, Teacher

__all__ = [
    "Answers",
    "Description",
    "Labelled",
    "Loaded",
    "Request",
    "Teacher",
    "label",
    "label_ensemble",
    "load_teacher",
    "load_teachers",
    "teachers",
]
