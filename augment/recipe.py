"""Recipes: which augmenters run, in which order, with which parameters.

A recipe is a TOML file; the published ones lie in ``augment/recipes/``::

    description = "Tang et al. 2019"
    copies = 20

    [[step]]
    use = "mask"
    rate = 0.1
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from transferset import StillhouseError, unknown
from transferset.parameters import build, check_at_least, describe, discover

from ._block import Step
from ._corpus import Corpus
from ._taggers import spoken_name
from .mask import Mask

_PUBLISHED = Path(__file__).parent / "recipes"


class Augmenter(Protocol):
    """A frozen dataclass of parameters that can look at a corpus and then edit drafts of it."""

    def fit(self, corpus: Corpus) -> Step:
        """What the augmenter does, after it has learned what it needs through ``corpus.learned``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """Augmenters in order, and how many copies of each row they make (a cap: duplicates are dropped).

    >>> load_recipe("tang2019").copies
    20
    """

    name: str
    steps: tuple[Augmenter, ...]
    copies: int = 20

    def __post_init__(self) -> None:
        check_at_least(f"recipe {self.name}: copies", self.copies, 0)
        tokens = {step.token for step in self.steps if isinstance(step, Mask)}
        if len(tokens) > 1:
            raise StillhouseError(f"recipe {self.name}: mask tokens must be one, got {', '.join(sorted(tokens))}")

    @property
    def mask_token(self) -> str | None:
        """What stands for a masked word in the texts this recipe makes; None if it masks none."""
        return next((step.token for step in self.steps if isinstance(step, Mask)), None)

    def to_json(self) -> dict[str, Any]:
        """The recipe as it stands in the manifest."""
        return {"name": self.name, "step": [_step_to_json(step) for step in self.steps]}

    def adjusted(self, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """The recipe with other parameters, by name of augmenter.

        >>> load_recipe("tang2019").adjusted({"mask": {"rate": 0.5}}).steps[0]
        Mask(rate=0.5, token='[MASK]')

        Raises:
            StillhouseError: an augmenter the recipe does not use, or a bad parameter.
        """
        used = [_name(step) for step in self.steps]
        for name in changes:
            if name not in used:
                raise unknown(f"recipe {self.name}: step", name, used)
        steps = [
            build(type(step), {**describe(step), **changes.get(_name(step), {})}, _name(step)) for step in self.steps
        ]
        return replace(self, steps=tuple(steps))


def load_recipe(name: str | Path) -> Recipe:
    """A published recipe by name, or one from a TOML file.

    >>> [type(step).__name__ for step in load_recipe("tang2019").steps]
    ['Mask', 'Pos', 'Ngram']

    Raises:
        StillhouseError: an unknown name, a file that is not TOML, an unknown augmenter or parameter.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _PUBLISHED / f"{name}.toml"
        if not path.is_file():
            raise unknown("recipe", str(name), [*published(), "FILE.toml"])
    try:
        stored = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StillhouseError(f"{path}: must be a recipe in TOML: {error}") from None
    return recipe_from_json(path.stem, stored, str(path))


def published() -> list[str]:
    """The names of the recipes that come with Stillhouse.

    >>> published()
    ['tang2019']
    """
    return sorted(path.stem for path in _PUBLISHED.glob("*.toml"))


def recipe_from_json(name: str, stored: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values; ``where`` begins every complaint."""
    known = ["description", "copies", "step", "name"]
    for key in stored:
        if key not in known:
            raise unknown(f"{where}: key", key, known)
    copies, steps = stored.get("copies", 20), stored.get("step", [])
    if not isinstance(copies, int) or isinstance(copies, bool):
        raise StillhouseError(f"{where}: copies must be a whole number, got {copies!r}")
    if not isinstance(steps, list) or not steps:
        raise StillhouseError(f"{where}: must have at least one [[step]], got none")
    augmenters = tuple(_step_from_json(step, f"{where}: step {number}") for number, step in enumerate(steps, 1))
    return Recipe(name, augmenters, copies)


def _step_from_json(step: Any, where: str) -> Augmenter:
    if not isinstance(step, dict) or not isinstance(step.get("use"), str):
        raise StillhouseError(f"{where}: must say which augmenter to use, got {step!r}")
    known = discover("augment", "fit")
    if step["use"] not in known:
        raise unknown(f"{where}: use", step["use"], known)
    augmenter: Augmenter = build(known[step["use"]], {k: v for k, v in step.items() if k != "use"}, where)
    return augmenter


def _step_to_json(step: Augmenter) -> dict[str, Any]:
    values = {k: _plain(v) for k, v in describe(step).items()}
    return {"use": _name(step), **values}


def _plain(value: Any) -> Any:
    return spoken_name(value) if callable(value) else value


def _name(step: Augmenter) -> str:
    return type(step).__module__.rpartition(".")[2]


def as_recipe(recipe: Recipe | str | Path | Sequence[Augmenter]) -> Recipe:
    """A recipe from its name, its file, or augmenters in order."""
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str | Path):
        return load_recipe(recipe)
    return Recipe("steps", tuple(recipe))
