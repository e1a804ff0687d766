"""Recipes: which augmenters run, in which order, with which parameters.

A recipe is a TOML file; the published ones lie in ``augment/recipes/``::

    description = "masks, and one of two other rules on half the copies"
    copies = 20
    pairs = "cycle"                          # first, second, both, alternate, draw
    pair_copies = 10                         # where they differ from copies
    protect = ["New York", "/[0-9]+/", ":stop-words:"]

    [[step]]
    use = "mask"
    rate = 0.1

    [[step]]
    probability = 0.5
    one_of = [{use = "pos", weight = 2}, {in_sequence = [{use = "ngram"}, {use = "mask", rate = 0.2}]}]
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import tomli_w

from transferset import StillhouseError, unknown
from transferset.parameters import build, check_whole, describe, discover

from ._compose import InSequence, OneOf, what_is_edited
from ._corpus import Corpus
from ._protect import check_protect
from ._rows import PAIRS, Plan
from ._taggers import spoken_name
from .mask import Mask

_PUBLISHED = Path(__file__).parent / "recipes"


@runtime_checkable
class Augmenter(Protocol):
    """A frozen dataclass of parameters that can look at a corpus and then edit drafts of it.

    One that edits features and not texts says so: ``edits: ClassVar[str] = "features"``.
    """

    def fit(self, corpus: Corpus) -> Callable[[Any], None]:
        """What the augmenter does to a draft, after it has learned what it needs through ``corpus.learned``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """Augmenters in order, and how many copies of each row they make (a cap: duplicates are dropped).

    Attributes:
        pairs: which texts of a pair are edited: ``cycle`` (first, second, both in successive copies, as published),
            ``alternate`` (first, second), ``first``, ``second``, ``both``, or ``draw`` (one of the three at random).
        pair_copies: the copies of a pair, where they are others than those of a text.
        protect: words, phrases, ``/REGEX/``, and ``:stop-words:`` or ``:non-alphabetic:``, which no augmenter touches.

    >>> load_recipe("tang2019").copies
    20

    Raises:
        StillhouseError: a bad value, mask tokens that differ, or steps of which some edit texts and some features.
    """

    name: str
    steps: tuple[Augmenter, ...]
    copies: int = 20
    pairs: str = "cycle"
    pair_copies: int | None = None
    protect: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"recipe {self.name}"
        check_whole(f"{where}: copies", self.copies, 0)
        check_whole(f"{where}: pair_copies", 0 if self.pair_copies is None else self.pair_copies, 0)
        if not all(isinstance(step, Augmenter) and not isinstance(step, type) for step in self.steps):
            raise StillhouseError(f"{where}: steps must be augmenters, got {self.steps!r}")
        check_protect(where, self.protect)
        if self.pairs not in PAIRS:
            raise unknown(f"{where}: pairs", self.pairs, PAIRS)
        what_is_edited(self.steps)
        tokens = {step.token for step in self.augmenters() if isinstance(step, Mask)}
        if len(tokens) > 1:
            raise StillhouseError(f"{where}: mask tokens must be one, got {', '.join(sorted(tokens))}")

    def augmenters(self) -> Iterator[Augmenter]:
        """All augmenters of the recipe, also those inside others."""
        return _inside(self.steps)

    def copies_of(self, kind: str) -> int:
        """The copies of a row of a kind of task."""
        return self.pair_copies if kind == "pair" and self.pair_copies is not None else self.copies

    def check_kind(self, kind: str) -> None:
        """Raises StillhouseError unless the recipe edits what a task of that kind has."""
        wanted, got = what_is_edited(self.steps), "features" if kind == "features" else "texts"
        if self.steps and wanted != got:
            raise StillhouseError(f"recipe {self.name}: must be given {wanted}, got a task of kind {kind!r}")
        if self.protect and got == "features":
            raise StillhouseError(f"recipe {self.name}: protect is for words, got a task of kind {kind!r}")

    def fitted(self, corpus: Corpus, copies: int, seed: int, keep_labels: bool = False) -> Plan:
        """What is done to the blocks of a corpus; for no copies nothing is learned."""
        steps = [step.fit(corpus) for step in self.steps] if copies else []
        return Plan(steps, self.pairs, seed, keep_labels)

    @property
    def mask_token(self) -> str | None:
        """What stands for a masked word in the texts this recipe makes; None if it masks none."""
        return next((step.token for step in self.augmenters() if isinstance(step, Mask)), None)

    def to_json(self) -> dict[str, Any]:
        """The recipe as it stands in the manifest, less the number of copies."""
        stored: dict[str, Any] = {"name": self.name, "pairs": self.pairs, "protect": list(self.protect)}
        return {**stored, "step": [_step_to_json(step) for step in self.steps]}

    def to_toml(self) -> str:
        """The recipe as a TOML file, which ``load_recipe`` reads back as the same recipe, if it has any steps.

        >>> print(Recipe("short", (Mask(),), copies=2).to_toml())
        copies = 2
        pairs = "cycle"
        protect = []
        step = [
            { use = "mask", rate = 0.1, token = "[MASK]" },
        ]
        <BLANKLINE>
        """
        own = {} if self.pair_copies is None else {"pair_copies": self.pair_copies}
        functions = [value for step in self.augmenters() for value in describe(step).values() if callable(value)]
        if functions:
            raise StillhouseError(f"recipe {self.name}: a function has no place in a TOML file, got {functions[0]!r}")
        stored = {key: value for key, value in self.to_json().items() if key != "name"}
        return tomli_w.dumps({"copies": self.copies, **own, **stored})

    def adjusted(self, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """The recipe with other parameters, by name of augmenter.

        >>> load_recipe("tang2019").adjusted({"mask": {"rate": 0.5}}).steps[0]
        Mask(rate=0.5, token='[MASK]')

        Raises:
            StillhouseError: an augmenter the recipe does not use, or a bad parameter.
        """
        used = list(dict.fromkeys(_name(step) for step in self.augmenters()))
        for name in changes:
            if name not in used:
                raise unknown(f"recipe {self.name}: step", name, used)
        return replace(self, steps=tuple(_adjusted(step, changes) for step in self.steps))


def _inside(steps: Sequence[Augmenter]) -> Iterator[Augmenter]:
    for step in steps:
        if isinstance(step, OneOf | InSequence):
            yield from _inside(step.steps)
        else:
            yield step


def _adjusted(step: Augmenter, changes: Mapping[str, Mapping[str, Any]]) -> Augmenter:
    if isinstance(step, OneOf | InSequence):
        return replace(step, steps=tuple(_adjusted(each, changes) for each in step.steps))
    name = _name(step)
    adjusted: Augmenter = build(type(step), {**describe(step), **changes.get(name, {})}, name)
    return adjusted


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
    except (OSError, ValueError, RecursionError) as error:
        raise StillhouseError(f"{path}: must be a recipe in TOML: {error}") from None
    return recipe_from_json(path.stem, stored, str(path))


def published() -> list[str]:
    """The names of the recipes that come with Stillhouse.

    >>> published()
    ['dbert', 'munge', 'random', 'tang2019', 'tinybert']
    """
    return sorted(path.stem for path in _PUBLISHED.glob("*.toml"))


def recipe_from_json(name: str, stored: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values; ``where`` begins every complaint."""
    known = ["description", "copies", "pair_copies", "pairs", "protect", "step", "name"]
    for key in stored:
        if key not in known:
            raise unknown(f"{where}: key", key, known)
    if not stored.get("step"):
        raise StillhouseError(f"{where}: must have at least one [[step]], got none")
    fields = {key: stored[key] for key in ("copies", "pair_copies", "pairs", "protect") if key in stored}
    # The fields of a recipe are checked as an augmenter's are.
    return build(Recipe, {"name": name, **fields, "steps": _steps(stored["step"], where)}, where)


def _steps(stored: Any, where: str) -> tuple[Augmenter, ...]:
    if not isinstance(stored, list):
        raise StillhouseError(f"{where}: step must be a list of tables ([[step]]), got {stored!r}")
    return tuple(_step_from_json(step, f"{where}: step {number}") for number, step in enumerate(stored, 1))


def _step_from_json(step: Any, where: str) -> Augmenter:
    if not isinstance(step, dict) or sum(key in step for key in ("use", "one_of", "in_sequence")) != 1:
        raise StillhouseError(f"{where}: must say which augmenter to use, got {step!r}")
    if not isinstance(step.get("use", ""), str):
        raise StillhouseError(f"{where}: use must be the name of an augmenter, got {step['use']!r}")
    values = dict(step)
    probability = values.pop("probability", None)
    given = {} if probability is None else {"probability": probability}
    if "use" not in step:
        return _group_from_json(values, given, where)
    name, known = values.pop("use"), discover("augment", "fit")
    if name not in known:
        raise unknown(f"{where}: use", str(name), known)
    augmenter: Augmenter = build(known[name], values, where)
    return build(InSequence, {"steps": (augmenter,), **given}, where) if given else augmenter


def _group_from_json(values: dict[str, Any], given: dict[str, Any], where: str) -> Augmenter:
    kind = next(key for key in ("one_of", "in_sequence") if key in values)
    stored = values.pop(kind)
    for key in values:
        raise unknown(f"{where}: key", key, [kind, "probability"])
    if kind == "in_sequence":
        return build(InSequence, {"steps": _steps(stored, where), **given}, where)
    if not isinstance(stored, list):
        raise StillhouseError(f"{where}: one_of must be a list of tables, got {stored!r}")
    bare, weights = [], []
    for each in stored:
        is_table = isinstance(each, dict)
        weights.append(each.get("weight", 1.0) if is_table else 1.0)
        bare.append({key: value for key, value in each.items() if key != "weight"} if is_table else each)
    own = (
        {"weights": tuple(weights)}
        if bare and any("weight" in each for each in stored if isinstance(each, dict))
        else {}
    )
    return build(OneOf, {"steps": _steps(bare, where), **own, **given}, where)


def _step_to_json(step: Augmenter) -> dict[str, Any]:
    if not isinstance(step, OneOf | InSequence):
        return {"use": _name(step), **{key: _plain(value) for key, value in describe(step).items()}}
    inner = [_step_to_json(each) for each in step.steps]
    if isinstance(step, InSequence):
        single = len(inner) == 1 and "use" in inner[0] and "probability" not in inner[0]
        return {**(inner[0] if single else {"in_sequence": inner}), "probability": step.probability}
    if step.weights:
        inner = [{**each, "weight": weight} for each, weight in zip(inner, step.weights, strict=True)]
    return {"one_of": inner, "probability": step.probability}


def _plain(value: Any) -> Any:
    return spoken_name(value) if callable(value) else value


def _name(step: Augmenter) -> str:
    return type(step).__module__.rpartition(".")[2]


def as_recipe(recipe: Recipe | str | Path | Augmenter | Sequence[Augmenter]) -> Recipe:
    """A recipe from its name, its file, an augmenter, or several in order."""
    if isinstance(recipe, Augmenter):
        return Recipe("steps", (recipe,))
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, str | Path):
        return load_recipe(recipe)
    if not isinstance(recipe, Sequence):
        raise StillhouseError(f"recipe: must be a name, a file or augmenters, got {recipe!r}")
    steps: Sequence[Augmenter] = recipe  # type: ignore[assignment]
    return Recipe("steps", tuple(steps))
