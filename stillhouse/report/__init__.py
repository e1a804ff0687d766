"""A page that says what students are worth: one file, with all that it needs."""

from .write import Yardstick, report

__all__ = ["Yardstick", "report"]
