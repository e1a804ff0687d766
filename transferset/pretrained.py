"""Pretrained Hugging Face models: loaded with clear errors, and told apart by what they are made of."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_128

from .errors import StillhouseError
from .files import hash_file

#: Files of a model's directory that decide what it says.
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_MEANING = (
    "config.json",
    "*tokenizer*.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)


def load_pretrained(name: str, auto: str, what: str, dtype: str, unused: str = "") -> tuple[Any, Any]:
    """The tokenizer and the model of a directory or hub name, in eval mode, on the GPU if there is one.

    Args:
        auto: the class of transformers that loads it, such as ``AutoModelForMaskedLM``.
        what: what errors call such a model.
        dtype: ``float32`` or ``bfloat16``.
        unused: how the names of weights begin that nobody will ask for, and that may be missing.

    Raises:
        StillhouseError: no such model, no fast tokenizer, no padding token, or weights that are missing.
    """
    import torch

    tokenizer, model, missing = _load(name, auto, what, dtype)
    # What the file lacks, transformers fills with random numbers, and says so only in a log.
    missing = [each for each in missing if not (unused and each.startswith(unused))]
    if missing:
        raise StillhouseError(f"{name}: must be {what} with all its weights, got none of {', '.join(missing[:3])}")
    if not tokenizer.is_fast:
        raise StillhouseError(f"{name}: tokenizer must be a fast one (tokenizer.json), got {type(tokenizer).__name__}")
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    if model.config.pad_token_id is None:
        raise StillhouseError(f"{name}: tokenizer or config.json must name a padding token, got none")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, model.to(device).eval()


def input_embeddings(name: str) -> tuple[Any, npt.NDArray[np.float32]]:
    """The tokenizer of a model, and the table of its input embeddings, (V, H).

    Raises:
        StillhouseError: no such model, no fast tokenizer, or no embeddings in it.
    """
    tokenizer, model, missing = _load(name, "AutoModel", "a Hugging Face model", "float32")
    if any("embeddings" in key for key in missing) or not tokenizer.is_fast:
        raise StillhouseError(f"{name}: must hold its input embeddings and tokenizer.json, got a model without")
    return tokenizer.backend_tokenizer, model.get_input_embeddings().weight.detach().numpy()


def _load(name: str, auto: str, what: str, dtype: str) -> tuple[Any, Any, list[str]]:
    """Tokenizer, model, and the weights that its files lack."""
    import torch
    import transformers

    _quieten()
    if Path(name).is_dir():
        _check_folder(Path(name))
    else:
        _check_hub_name(name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        # Weights that the files lack are drawn at random, and not from the caller's generator.
        with torch.random.fork_rng(devices=[]):
            model, loaded = getattr(transformers, auto).from_pretrained(
                name, dtype=getattr(torch, dtype), output_loading_info=True
            )
    except Exception as error:  # what transformers and its libraries raise has no narrower class
        raise StillhouseError(f"{name}: must be {what} and its tokenizer: {_reason(error)}") from None
    missing = sorted(loaded["missing_keys"]) + sorted(str(key) for key in loaded.get("mismatched_keys", ()))
    return tokenizer, model, missing


def fingerprint(name: str) -> str:
    """A hash of what a model is made of: its files, or of a hub name the revision that is in use."""
    digest, folder = xxh3_128(), Path(name)
    if not folder.is_dir():
        digest.update(f"{name}@{_revision(name)}".encode())
        return digest.hexdigest()
    for pattern in (*_WEIGHTS, *_MEANING):
        for file in sorted(folder.glob(pattern)):
            digest.update(file.name.encode())
            hash_file(digest, file)
    return digest.hexdigest()


def _quieten() -> None:
    """What the libraries say in warnings and bars is said in our own errors, or is nobody's business."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _revision(name: str) -> str | None:
    from transformers import AutoConfig

    _quieten()
    _check_hub_name(name)
    try:
        return getattr(AutoConfig.from_pretrained(name), "_commit_hash", None)
    except Exception as error:  # likewise
        raise StillhouseError(f"{name}: must be a Hugging Face model, a directory or name: {_reason(error)}") from None


def best_dtype() -> Literal["float32", "bfloat16"]:
    """``bfloat16`` where the processor computes in it, ``float32`` elsewhere."""
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    has: bool = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if has or torch.cpu._is_amx_tile_supported() else "float32"


def longest_input(tokenizer: Any, model: Any) -> int:
    """The most tokens that both take, special ones included."""
    return min(int(tokenizer.model_max_length), _positions(model.config))


def _reason(error: Exception) -> str:
    """The first line of what a library said."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _check_hub_name(name: str) -> None:
    if name.startswith((".", "/", "~")):
        raise StillhouseError(f"{name}: must be the directory of a Hugging Face model, got nothing there")


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise StillhouseError(f"{folder}: must be a Hugging Face model, got no config.json in it")
    if not any(any(folder.glob(pattern)) for pattern in ("tokenizer.json", "vocab.*", "*.model")):
        raise StillhouseError(
            f"{folder}: must hold the model's tokenizer (tokenizer.json), got none: save it there with"
            " tokenizer.save_pretrained"
        )


def _positions(config: Any) -> int:
    """The most tokens the model takes; RoBERTa and its kin keep the first positions for padding."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return 512
    kin = getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
    return positions - 2 if kin else positions
