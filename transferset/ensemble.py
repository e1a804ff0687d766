"""An ensemble: the logit caches of several teachers, read as the cache of one that says their mean."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ._mean import Mean, mean_logits
from ._signals import Matrix, Reader, class_names, class_order
from .errors import OccupiedError, StillhouseError, unknown
from .files import MEMBER_NAME, claim_directory, write_file
from .keys import Keys, find_keys, sort_keys
from .logit_cache import KIND as LOGIT_CACHE
from .logit_cache import LogitCache
from .store import FORMAT, Store, kind_of
from .task import Target, Task

KIND = "ensemble"


@dataclass(frozen=True)
class Member:
    """One teacher of an ensemble: the folder of its cache (``member-NAME``), how much it counts, what it is called."""

    folder: str
    weight: float = 1.0
    teacher: str = ""


class Ensemble:
    """The caches of several teachers in one directory, and the weights of their mean.

    Of ``logits`` the mean is that of the logits; of ``probabilities`` its logits are those of the mean probabilities:
    the logarithm of the mean softmax, or for several labels the logit of the mean sigmoid. Scores are averaged.

    Attributes:
        store: the directory; the members' folders are in it.
        members: the teachers; their weights count relative to the sum.
        mean: ``logits`` or ``probabilities``.
        classes: the order of the logits; empty for regression.
        target: what the logits are of.
        widths: of ``logits``, the one signal that an ensemble has.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self.members = tuple(Member(**each) for each in store.about["members"])
            self.mean: Mean = store.about["mean"]
            self.classes = class_names(store.about["classes"])
            self.target: Target = store.about["target"]
            _check(self.members, self.mean, self.classes, self.target)
        except (KeyError, TypeError, AttributeError, StillhouseError) as error:
            raise StillhouseError(f"{store.path}: _manifest/about.json must describe an ensemble: {error}") from None
        self.widths = {"logits": len(self.classes) or 1}

    @classmethod
    def open(cls, path: Path | str) -> Ensemble:
        """The ensemble in a directory; its members are opened where they are needed.

        Raises:
            StillhouseError: there is none.
        """
        return cls(Store.open(path, KIND))

    @classmethod
    def write(
        cls,
        path: Path | str,
        members: Sequence[Member],
        mean: Mean = "logits",
        classes: Sequence[str] = (),
        target: Target = "classification",
    ) -> Ensemble:
        """The ensemble in a directory, made now or described anew: other weights or members cost no labelling.

        Raises:
            StillhouseError: no member, a weight that is not positive, or a directory of something else.
        """
        path = Path(path)
        _check(members, mean, classes, target)
        claim_directory(path)
        kind = kind_of(path)
        if kind not in (None, KIND):
            raise OccupiedError(f"{path}: must be an ensemble, got a {kind}: use another --out or --force")
        about = {"mean": mean, "members": [asdict(each) for each in members], "classes": list(classes)}
        record = {"format": FORMAT, "kind": KIND, "about": {**about, "target": target}, "made_with": {}}
        write_file(path / "_manifest" / "about.json", (json.dumps(record, indent=1) + "\n").encode(), path / "_scratch")
        return cls.open(path)

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.store.path

    @property
    def about(self) -> dict[str, Any]:
        """What it is, with what each member's cache is."""
        members = [
            {**asdict(member), "about": cache.about} for member, cache in zip(self.members, self.caches(), strict=True)
        ]
        return {**self.store.about, "members": members}

    @property
    def outputs(self) -> int:
        """C, the width of the logits."""
        return self.widths["logits"]

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """The members' weights, which sum to 1."""
        given = np.array([member.weight for member in self.members])
        given = given / given.max()
        weights: npt.NDArray[np.float64] = given / given.sum()
        return weights

    @property
    def teacher_folder(self) -> Path:
        """The files kept of the first member's teacher that has any."""
        folders = [self.path / member.folder / "_teacher" for member in self.members]
        return next((folder for folder in folders if folder.is_dir()), folders[0])

    def cache(self, member: Member) -> LogitCache:
        """The cache of a member.

        Raises:
            StillhouseError: there is none.
        """
        folder = self.path / member.folder
        if kind_of(folder) is None:
            raise StillhouseError(
                f"{folder}: must be the logit cache of teacher {member.teacher!r}, got none: run `stillhouse label`"
                f" with --out {self.path}"
            )
        return LogitCache(Store.open(folder, LOGIT_CACHE), self.path)

    def caches(self) -> list[LogitCache]:
        """The caches of all members."""
        return [self.cache(member) for member in self.members]

    def keys(self) -> Keys:
        """The keys that all members have, (U, 2), in the order of the first."""
        first, *others = self.caches()
        keys = first.keys()
        for cache in others:
            theirs = cache.keys()
            keys = keys[find_keys(theirs[sort_keys(theirs)], keys) >= 0]
        return keys

    def logits(self, keys: Keys, task: Task) -> Matrix:
        """The mean logits, (B, C), of rows by their keys, (B, 2), with classes in the task's order.

        Raises:
            StillhouseError: a key that a member lacks, or other classes.
        """
        order, own = self.order(task), self._task()
        logits = (cache.logits(keys, own) for cache in self.caches())
        return mean_logits(logits, self.weights, self.mean, self.target)[:, order]

    def reader(self, names: Sequence[str], scratch: Path | None = None) -> EnsembleReader:
        """The mean logits by key for reading in turns, with classes in the ensemble's order.

        Raises:
            StillhouseError: another signal than ``logits``, or a member of other classes.
        """
        self.check_signals(names)
        caches, own = self.caches(), self._task()
        orders = [cache.order(own) for cache in caches]
        return EnsembleReader(self, [cache.reader(["logits"], scratch) for cache in caches], orders)

    def order(self, task: Task) -> list[int]:
        """Where the classes of a task stand in the logits; a task without classes takes those of the ensemble.

        Raises:
            StillhouseError: an ensemble of other classes, or of a score where classes are wanted.
        """
        return class_order(self.path, task, self.classes)

    def check_signals(self, names: Sequence[str]) -> None:
        """Raises StillhouseError for a signal other than ``logits``, of which alone there is a mean."""
        for name in names:
            if name != "logits":
                raise StillhouseError(
                    f"{self.path}: must hold {name}, got an ensemble, which has logits alone: take one of"
                    f" {', '.join(member.folder for member in self.members)}"
                )

    def verify(self) -> list[str]:
        """What is wrong with it, a line each: members that are missing or of other classes, and their problems."""
        problems: list[str] = []
        for member in self.members:
            try:
                cache = self.cache(member)
                problems += cache.verify()
                cache.order(self._task())
            except StillhouseError as error:
                problems.append(str(error))
        return problems

    def gc(self) -> list[Path]:
        """Removes what writers that were killed left, here and in the members' folders."""
        folders = [folder for folder in sorted(self.path.glob("member-*")) if kind_of(folder) == LOGIT_CACHE]
        return [*self.store.gc(), *(path for folder in folders for path in Store.open(folder).gc())]

    def _task(self) -> Task:
        """A task of the ensemble's classes, in its order."""
        return Task("text", ("text",), target=self.target, classes=self.classes)


class EnsembleReader:
    """What ``LogitCache.reader`` is of one cache: of all members, the mean of their logits.

    Attributes:
        widths: of ``logits``.
    """

    def __init__(self, ensemble: Ensemble, readers: Sequence[Reader], orders: Sequence[list[int]]) -> None:
        self.widths, self._ensemble = ensemble.widths, ensemble
        self._readers = list(zip(readers, orders, strict=True))

    def check(self, keys: Keys) -> None:
        """Raises StillhouseError where a member has no row of some of the keys, (B, 2)."""
        for reader, _ in self._readers:
            reader.check(keys)

    def rows(self, keys: Keys) -> dict[str, Matrix]:
        """The mean logits, (B, C), of rows by their keys, (B, 2)."""
        logits = (reader.rows(keys)["logits"][:, order] for reader, order in self._readers)
        of = self._ensemble
        return {"logits": mean_logits(logits, of.weights, of.mean, of.target)}


def open_cache(path: Path | str) -> LogitCache | Ensemble:
    """The logit cache or the ensemble in a directory.

    Raises:
        StillhouseError: there is none.
    """
    return Ensemble.open(path) if kind_of(path) == KIND else LogitCache.open(path)


def _check(members: Sequence[Member], mean: str, classes: Sequence[str], target: str) -> None:
    folders = [member.folder for member in members]
    if not members:
        raise StillhouseError("ensemble: must have at least one member, got none")
    for name in folders:
        if not MEMBER_NAME.fullmatch(name) or folders.count(name) > 1:
            raise StillhouseError(f"ensemble: each member must have a folder member-NAME of its own, got {name!r}")
    for member in members:
        if not (math.isfinite(member.weight) and member.weight > 0):
            raise StillhouseError(
                f"ensemble: weight of {member.folder} must be finite and above 0, got {member.weight}"
            )
    if mean not in get_args(Mean):
        raise unknown("ensemble: mean", mean, get_args(Mean))
    if target not in get_args(Target):
        raise unknown("ensemble: target", target, get_args(Target))
    if bool(classes) == (target == "regression"):
        raise StillhouseError(
            f"ensemble: {target} must have {'classes' if not classes else 'no classes'}, got {list(classes)}"
        )
