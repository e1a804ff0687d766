"""What files and directories hold, as hashes: of what a stage reads, and of what it made.

Every byte is read each time. Size and time of a file would be quicker to look at and are no proof: copying and
unpacking set times back, and a second edit may come within the clock's tick. Reading costs seconds where a stage costs
minutes.
"""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from xxhash import xxh3_128, xxh3_128_hexdigest

from transferset import StillhouseError, Store
from transferset.ensemble import KIND as ENSEMBLE
from transferset.files import hash_file
from transferset.logit_cache import KIND as LOGIT_CACHE
from transferset.store import kind_of

#: What stages leave in directories for their own use, and may be removed.
_PASSING = {"_scratch", "_checkpoint", "_candidates", "_sweep", "__pycache__", "lock", "commit", "settling"}
#: Measurements of time, and a page for people who may edit it: nothing that is computed depends on these.
_BESIDE = ("metrics.json", "README.md")


def digest_of(value: Any) -> str:
    """A hash of plain values; the order of keys does not matter."""
    return xxh3_128_hexdigest(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode())


def listing(path: Path) -> dict[str, str]:
    """The hash of each file of a directory by its place in it; of a file under the name ``.``.

    Raises:
        StillhouseError: a file that cannot be read.
    """
    if not path.is_dir():
        return {".": _hashed(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    kept = [(file, file.relative_to(path)) for file in files]
    return {str(place): _hashed(file) for file, place in kept if not _PASSING.intersection(place.parts)}


def differences(path: Path, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file of a listing that is not as it was, and that in words; files that came to it are no matter."""
    for place, digest in files.items():
        file = path / place
        if file.name == "README.md":
            continue
        if not file.is_file():
            yield place, f"{file if path.exists() else path} is missing"
        elif _hashed(file) != digest:
            yield place, f"{file} was changed"


def first_difference(path: Path, files: Mapping[str, str]) -> str | None:
    """The first of the differences in words, if there is one."""
    return next((words for _, words in differences(path, files)), None)


def identity(path: Path, files: Mapping[str, str] | None = None) -> str:
    """A hash of what a stage that reads from a path would find: of a logit cache the teacher's, not the texts'.

    A cache is keyed by content and only ever grows, so whose it is says all.
    """
    if path.is_dir() and kind_of(path) in (LOGIT_CACHE, ENSEMBLE):
        members = sorted(each for each in path.glob("member-*") if kind_of(each) == LOGIT_CACHE)
        return digest_of([Store.open(each).about for each in (path, *members)])
    found = listing(path) if files is None else files
    return digest_of({place: digest for place, digest in found.items() if Path(place).name not in _BESIDE})


def files_in(value: Any, folder: Path) -> Iterator[Path]:
    """The files and directories that a setting names; those that a TOML file names are among them.

    Besides a path as it is, ``KIND:PATH`` and ``PATH:SPLIT`` are some, and the module of ``python:MODULE:FUNCTION``
    where it can be found. A name of the hub is none: it counts as a name.
    """
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from files_in(each, folder)
    if not isinstance(value, str) or not value.strip("./ "):
        return
    kind, _, what = value.partition(":")
    module = _module_file(what.partition(":")[0], folder) if kind == "python" and what else None
    candidates = (module, _path(value), _path(what), _path(value.rpartition(":")[0]))
    path = next((each for each in candidates if each is not None), None)
    if path is None:
        return
    yield path
    if path.suffix == ".toml" and path.is_file():
        try:
            yield from files_in(tomllib.loads(path.read_text("utf-8")), folder)
        except (OSError, ValueError, RecursionError):
            return  # the command that reads it says what is wrong


def _path(text: str) -> Path | None:
    try:
        return Path(text) if text and Path(text).exists() else None
    except (OSError, ValueError):
        return None  # too long, or with a null in it: no path


def _module_file(name: str, folder: Path) -> Path | None:
    """The file of a module, without importing it."""
    importlib.invalidate_caches()
    places: list[str] = [str(folder), *sys.path]
    found = None
    for part in name.split("."):
        found = PathFinder.find_spec(part, places)
        if found is None:
            return None
        places = list(found.submodule_search_locations or [])
    file = Path(found.origin) if found is not None and found.origin else None
    return file if file is not None and file.is_file() else None


def _hashed(path: Path) -> str:
    digest = xxh3_128()
    try:
        hash_file(digest, path)
    except OSError as error:
        raise StillhouseError(f"{path}: must be a file that can be read: {error.strerror}") from None
    return digest.hexdigest()
