"""The main job from end to end on two small samples: few labels, a good teacher, a small student."""

from .run import MADE, run
from .table import Line, table

__all__ = ["MADE", "Line", "run", "table"]
