"""A commented pipeline for a file of the user's own, guessed from its columns."""

from .columns import Column, Look, look_at
from .page import Draft, draft
from .roles import Roles, guess_roles

__all__ = ["Column", "Draft", "Look", "Roles", "draft", "guess_roles", "look_at"]
