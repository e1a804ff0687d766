"""Where a pretrained model lies: a directory, or what the hub has under a name."""

from __future__ import annotations

import logging
from pathlib import Path

from transferset import StillhouseError

#: Seconds after which a hub that does not answer is taken to be out of reach.
PATIENCE = 5.0
#: Weights as safetensors, configuration, tokenizer; never code, never pickles.
_WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "vocab.txt", "merges.txt", "*.model")


def model_folder(name: str) -> Path:
    """The directory of a model: ``name`` itself, or where the hub's files of that name are kept, fetched if need be.

    Raises:
        StillhouseError: no such directory, or no such name that can be had.
    """
    if Path(name).is_dir():
        return Path(name)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise StillhouseError(f"{name}: must be the directory of a Hugging Face model, got nothing there")
    from huggingface_hub import HfApi, snapshot_download

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        revision, reason = HfApi().model_info(name, timeout=PATIENCE).sha, ""
    except Exception as error:  # its own errors, those of its client, and the system's
        revision, reason = None, _said(error)
    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=list(_WANTED), local_files_only=revision is None
        )
    except Exception as error:
        raise StillhouseError(
            f"{name}: must be a directory, or one on the hub or fetched before, got {reason or _said(error)}"
        ) from None
    return Path(folder)


def _said(error: Exception) -> str:
    """What went wrong, in a few words."""
    kind = type(error).__name__
    if kind in ("RepositoryNotFoundError", "GatedRepoError", "HFValidationError"):
        return "no model of that name"
    if kind == "OfflineModeIsEnabled":
        return "no network (HF_HUB_OFFLINE is set)"
    return f"no answer from it ({kind})"
