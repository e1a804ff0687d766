"""A pipeline at work: what is to be done about a stage, and how what it makes takes its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from transferset import StillhouseError

from .. import __version__
from ._calls import call
from ._contents import differences, digest_of, files_in, first_difference, identity, listing
from ._ledger import FOLDER, Ingredients, Ledger, Made
from ._stages import Stage

Action = Literal["run", "resume", "skip"]
#: Settings of which no byte that is made depends.
_FREE = ("workers", "candidates")
#: Settings that are words and never files, though a file may bear the same name.
_WORDS = ("text", "text-pair", "features", "categorical", "label", "classes", "task", "protect", "signals", "loss")
#: What may change while what is there is added to: a cache serves any texts, a sweep any candidates.
_GROWS = {"label": ("transfer",), "sweep": ("grid", "random", "seed", "halving", "test")}
#: How the library says that a directory holds another teacher's cache or another sweep.
_OTHERS = ("use another --out", ", got an ensemble")


@dataclass(frozen=True)
class Step:
    """What is done about a stage, and why."""

    stage: Stage
    action: Action
    why: Sequence[str]


@dataclass(frozen=True)
class Work:
    """The stages of a pipeline as they are gone through, in the pipeline's folder.

    Attributes:
        identities: of what the stages made that are done with.
    """

    out: Path
    folder: Path
    stages: Sequence[Stage]
    identities: dict[str, str] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """The records."""
        return Ledger(self.out / FOLDER)

    def step(self, stage: Stage) -> Step:
        """What to do about a stage.

        Raises:
            StillhouseError: its place is taken by something else.
        """
        made, begun = self.ledger.made(stage.name, stage.made), self.ledger.begun(stage.name)
        if made is None and (begun is None or begun.files is None):
            _check_free(stage)
        now = self._ingredients(stage)
        why = self._reasons(stage, now, made)
        if not why:
            return Step(stage, "skip", ["nothing changed"])
        if begun is not None and begun.ingredients.fingerprint == now.fingerprint:
            return Step(stage, "resume", ["interrupted"])
        return Step(stage, "run", why)

    def _reasons(self, stage: Stage, now: Ingredients, made: Made | None) -> list[str]:
        if made is None:
            return ["never made"]
        pending = [name for name in stage.before if name not in self.identities]
        why = [*now.changes(made.ingredients), *(f"follows {name}" for name in pending)]
        if not why and now.fingerprint != made.ingredients.fingerprint:
            why = ["what it is made from changed"]
        damage = None if why else first_difference(stage.made, made.files or {})
        return why if damage is None else [damage]

    def done_with(self, stage: Stage) -> None:
        """Notes what a stage has made, for those after it."""
        made = self.ledger.made(stage.name, stage.made)
        self.identities[stage.name] = identity(stage.made, made.files if made is not None else None)

    def keep(self, stage: Stage) -> None:
        """Settles what a kill left: a stage that had just taken its place."""
        begun = self.ledger.begun(stage.name)
        if begun is not None and begun == self.ledger.made(stage.name, stage.made):
            self._settle(stage)

    def _settle(self, stage: Stage) -> None:
        self.ledger.settle(stage.name)
        if stage.command != "label":
            # What was here before, and what was begun and given up.
            _remove(self.ledger.folder / "work" / stage.name)

    def make(self, stage: Stage) -> list[str]:
        """Makes a stage, or goes on with it; what its command says.

        Raises:
            StillhouseError: as the command, or what it reads changed meanwhile.
        """
        self.keep(stage)
        now, made = self._ingredients(stage), self.ledger.made(stage.name, stage.made)
        key = _key(stage, now)
        self.ledger.begin(stage.name, Made(now, key))
        lines, place = self._made_in(stage, self._places(stage, made, key), made)
        later = self._ingredients(stage)
        if later.fingerprint != now.fingerprint:
            what = next(later.changes(now), "its inputs changed")
            raise StillhouseError(
                f"{stage.place}: what it reads must stay as it is meanwhile, got another: {what}: run it again"
            )
        self.ledger.begin(stage.name, Made(now, key, listing(place)))
        if place != stage.made:
            self._take_place(stage, place, made)
        self._settle(stage)
        return lines

    def _places(self, stage: Stage, made: Made | None, key: str) -> list[Path]:
        """Where to make it: there, where it can be added to; else, or if that is refused, beside."""
        beside = self._beside(stage, key)
        is_label = stage.command == "label"
        if stage.shared or (is_label and made is None and stage.made.exists()):
            return [stage.made]
        if made is None or not stage.made.exists() or stage.command not in _GROWS:
            return [beside]
        # A cache may fit all the same, of another number of tokens in a batch, say: the labeller knows.
        fits = made.key == key or (is_label and not beside.exists())
        return [stage.made, beside] if fits else [beside]

    def _made_in(self, stage: Stage, places: Sequence[Path], made: Made | None) -> tuple[list[str], Path]:
        for place in places:
            if stage.is_file:
                place.unlink(missing_ok=True)  # of a run that was killed
            elif stage.command == "sweep" and place == stage.made and made is not None:
                _drop_damaged(place, made.files or {})
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                return call(stage, {each.name: each for each in self.stages}, place, self.ledger.folder), place
            except StillhouseError as error:
                if place == places[-1] or not any(words in str(error) for words in _OTHERS):
                    raise
        raise AssertionError

    def _take_place(self, stage: Stage, place: Path, made: Made | None) -> None:
        """Puts what was made where it belongs; the cache of another teacher is kept, for it may come back."""
        aside = self._beside(stage, "old")
        if stage.command == "label" and made is not None:
            aside = self._beside(stage, made.key)
            if aside.exists():  # the same teacher's, of texts of another kind
                aside = self._beside(stage, digest_of(listing(stage.made))[:16])
        else:
            _remove(aside)
        if stage.made.exists():
            aside.parent.mkdir(parents=True, exist_ok=True)
            stage.made.rename(aside)
        stage.made.parent.mkdir(parents=True, exist_ok=True)
        place.rename(stage.made)

    def _beside(self, stage: Stage, key: str) -> Path:
        """Where a stage is made until it takes its place: a directory of its own, for a command may need more."""
        return self.ledger.folder / "work" / stage.name / key / stage.made.name

    def _ingredients(self, stage: Stage) -> Ingredients:
        """What decides about a stage; of earlier stages those that are done with."""
        settings = {key: value for key, value in stage.settings.items() if key not in _FREE}
        files = self._files(stage, settings)
        contents = {f"{key} {self._name(path)}": identity(path) for key, path in files}
        made = {name: self.identities[name] for name in stage.before if name in self.identities}
        return Ingredients(settings, contents, made, _versions(stage))

    def _name(self, path: Path) -> Path:
        """A path as it may be when all is moved elsewhere."""
        return path.relative_to(self.folder) if path.is_relative_to(self.folder) else path

    def _files(self, stage: Stage, settings: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
        for key, value in settings.items():
            if key in _WORDS or (key == "student" and stage.command == "train"):
                continue
            for each in value if isinstance(value, list) else [value]:
                for path in files_in(each, self.folder) if each not in stage.reads.get(key, ()) else ():
                    # What holds all that is made changes with it.
                    if not self.out.resolve().is_relative_to(path.resolve()):
                        yield key, path


def _check_free(stage: Stage) -> None:
    """A cache that somebody else made is added to if it is the teacher's; anything else is not ours to replace."""
    if stage.command != "label" and stage.made.exists():
        raise StillhouseError(
            f"{stage.made}: must be made by this pipeline, got something else: move it away, or use another `name` or"
            " `out`"
        )


def _key(stage: Stage, now: Ingredients) -> str:
    """A hash of what decides whether what is there may be added to; for what does not grow, of everything."""
    grows = _GROWS.get(stage.command, ())
    passing = {name for key in grows for name in stage.reads.get(key, ())}
    kept = {
        "settings": {key: value for key, value in now.settings.items() if key not in grows},
        "contents": {name: each for name, each in now.contents.items() if name.partition(" ")[0] not in grows},
        "stages": {name: each for name, each in now.stages.items() if name not in passing},
    }
    return digest_of({**asdict(now), **kept})[:16]


def _versions(stage: Stage) -> dict[str, str]:
    """Of the packages whose other versions may make something else; what a teacher said is not said otherwise."""
    if stage.command == "label":
        return {}
    own = {"stillhouse": __version__}
    return {**own, "torch": version("torch")} if stage.command in ("train", "sweep") else own


def _drop_damaged(sweep: Path, files: Mapping[str, str]) -> None:
    """Removes the students of a sweep of which a file is not as it was, so that they are trained again."""
    for place in {Path(place).parts[0] for place, _ in differences(sweep, files) if len(Path(place).parts) > 1}:
        shutil.rmtree(sweep / place, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
