"""JSON files of unfinished work, with a checksum of what they say: one that was damaged or edited is not used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xxhash import xxh3_128, xxh3_128_hexdigest

from transferset.files import hash_file, write_file
from transferset.plain import parse_json

_SEAL = "checksum"


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON object whole or not at all."""
    write_file(path, json.dumps({**value, _SEAL: _checksum(value)}, indent=1).encode())


def read_sealed(path: Path) -> dict[str, Any]:
    """The object that was written.

    Raises:
        OSError, ValueError: there is none, or it is not what was written.
    """
    value = parse_json(path.read_bytes())
    if not isinstance(value, dict) or value.pop(_SEAL, None) != _checksum(value):
        raise ValueError(f"{path.name} must have the checksum that it was written with, got another")
    return value


def checksum_of(path: Path) -> str:
    """That of a file's bytes, for an object that says what must be beside it."""
    digest = xxh3_128()
    hash_file(digest, path)
    return digest.hexdigest()


def _checksum(value: Mapping[str, Any]) -> str:
    return xxh3_128_hexdigest(json.dumps(value).encode())
