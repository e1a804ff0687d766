"""A Hugging Face sequence-classification model as the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from safetensors import SafetensorError
from xxhash import xxh3_128

from transferset import StillhouseError, Task, unknown
from transferset.files import write_file

from .teacher import Encoded

Dtype = Literal["auto", "float32", "bfloat16"]
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


class Huggingface:
    """A fine-tuned model and its tokenizer, in eval mode.

    ``dtype`` ``auto`` is bfloat16 where the processor computes in it, float32 elsewhere. ``max_length`` is in
    tokens, special ones included; by default as many as the model takes.

    Raises:
        StillhouseError: no such model, no tokenizer, no classifier, or a length the model cannot take.
    """

    def __init__(self, name: str, max_length: int | None = None, dtype: Dtype = "auto") -> None:
        if dtype not in get_args(Dtype):
            raise unknown("dtype", dtype, get_args(Dtype))
        self.name = name
        self.dtype = _best_dtype() if dtype == "auto" else dtype
        self.tokenizer, self.model = _load(name, self.dtype)
        longest = min(self.tokenizer.model_max_length, _positions(self.model.config))
        self.max_length = longest if max_length is None else max_length
        fewest = self.tokenizer.num_special_tokens_to_add(pair=True) + 2
        if not fewest <= self.max_length <= longest:
            raise StillhouseError(f"max-length: must be between {fewest} and {longest}, got {max_length}")

    def identity(self, mask_token: str | None) -> dict[str, Any]:
        """Hash of weights, config and tokenizer; maximum length; precision; the mask token if it is not its own."""
        rendered = mask_token if self._own_mask(mask_token) is not None else None
        return {
            "teacher": self._fingerprint(),
            "max_length": self.max_length,
            "dtype": self.dtype,
            "mask_token": rendered,
        }

    def classes(self, task: Task) -> tuple[str, ...]:
        """Matched by name, or by order where the model has only default names (``LABEL_0``)."""
        if task.kind == "features":
            raise StillhouseError(f"{self.name}: must be given texts, got a transfer set of features")
        count = self.model.config.num_labels
        names = [str(self.model.config.id2label[i]) for i in range(count)]
        if task.target == "regression":
            if count != 1:
                raise StillhouseError(f"{self.name}: must give 1 score for regression, got {count} classes")
            return ()
        if not task.classes:
            return tuple(names)
        default = names == [f"LABEL_{i}" for i in range(count)]
        if default and count == len(task.classes):
            return task.classes
        by_lower = {each.lower(): each for each in task.classes}
        if not default and sorted(name.lower() for name in names) == sorted(by_lower):
            return tuple(by_lower[name.lower()] for name in names)
        raise StillhouseError(
            f"{self.name}: classes must be those of the task ({', '.join(task.classes)}), got {', '.join(names)}"
        )

    def encode(self, task: Task, rows: pa.Table, mask_token: str | None) -> Encoded:
        """Tokenized once, without padding; texts that are too long are cut at their end."""
        columns = [self._render(rows[name], mask_token).to_pylist() for name in task.inputs]
        encodings = self.tokenizer(
            *columns,
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=False,
            return_token_type_ids=task.kind == "pair",
            return_length=False,
        )
        ids: list[list[int]] = encodings["input_ids"]
        lengths = np.fromiter((len(row) for row in ids), np.int32, len(ids))
        cut = sum(1 for row in encodings.encodings or () if row.overflowing)
        types = encodings.get("token_type_ids")
        flat = np.fromiter((i for row in ids for i in row), np.int32, int(lengths.sum()))
        flat_types = np.fromiter((i for row in types for i in row), np.uint8, len(flat)) if types else None
        return Encoded(flat, flat_types, lengths, cut)

    def logits(self, ids: Sequence[npt.NDArray[np.int32]], types: Sequence[Any] | None) -> npt.NDArray[np.float32]:
        """One forward pass over rows padded to the longest of them."""
        import torch

        width = max(len(row) for row in ids)
        padded = np.full((len(ids), width), self.model.config.pad_token_id, np.int64)
        mask = np.zeros((len(ids), width), np.int64)
        inputs = {"input_ids": padded, "attention_mask": mask}
        if types is not None:
            inputs["token_type_ids"] = np.zeros((len(ids), width), np.int64)
        for place, row in enumerate(ids):
            padded[place, : len(row)] = row
            mask[place, : len(row)] = 1
            if types is not None:
                inputs["token_type_ids"][place, : len(row)] = types[place]
        device = self.model.device
        with torch.inference_mode():
            output = self.model(**{name: torch.from_numpy(array).to(device) for name, array in inputs.items()})
        logits: npt.NDArray[np.float32] = output.logits.float().cpu().numpy()
        return logits

    def keep(self, folder: Path) -> None:
        """``tokenizer.json`` and ``embeddings.safetensors`` (V, H), float16."""
        import torch
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        table = self.model.get_input_embeddings().weight.detach().to(torch.float16).cpu().contiguous()
        # The embeddings come last: where they are, both are.
        write_file(folder / "tokenizer.json", self.tokenizer.backend_tokenizer.to_str().encode())
        write_file(folder / "embeddings.safetensors", save({"embeddings": table}))

    def _render(self, texts: pa.ChunkedArray, mask_token: str | None) -> pa.ChunkedArray:
        own = self._own_mask(mask_token)
        return texts if own is None else pc.replace_substring(texts, mask_token, own)

    def _own_mask(self, mask_token: str | None) -> str | None:
        """What the tokenizer reads in place of the transfer set's mask token; None where nothing is to be done."""
        own: str | None = self.tokenizer.mask_token or self.tokenizer.unk_token
        return None if mask_token in (None, own) else own

    def _fingerprint(self) -> str:
        digest = xxh3_128()
        folder = Path(self.name)
        if not folder.is_dir():
            # A model from the hub: its revision names its content.
            digest.update(f"{self.name}@{getattr(self.model.config, '_commit_hash', None)}".encode())
            return digest.hexdigest()
        for pattern in (*_WEIGHTS, *_MEANING):
            for file in sorted(folder.glob(pattern)):
                digest.update(file.name.encode())
                with file.open("rb") as stream:
                    while block := stream.read(1 << 24):
                        digest.update(block)
        return digest.hexdigest()


def _load(name: str, dtype: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    folder = Path(name)
    if folder.is_dir():
        _check_folder(folder)
    elif name.startswith((".", "/", "~")):
        raise StillhouseError(f"{name}: must be the directory of a Hugging Face model, got nothing there")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            name, dtype=getattr(torch, dtype), output_loading_info=True
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StillhouseError(f"{name}: must be a sequence-classification model and its tokenizer: {reason}") from None
    # What the file lacks, transformers fills with random numbers, and says so only in a log.
    missing = sorted(loaded["missing_keys"]) + sorted(str(key) for key in loaded.get("mismatched_keys", ()))
    if missing:
        raise StillhouseError(
            f"{name}: must be a sequence-classification model with all its weights,"
            f" got none of {', '.join(missing[:3])}"
        )
    if not tokenizer.is_fast:
        raise StillhouseError(f"{name}: tokenizer must be a fast one (tokenizer.json), got {type(tokenizer).__name__}")
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    if model.config.pad_token_id is None:
        raise StillhouseError(f"{name}: tokenizer or config.json must name a padding token, got none")
    return tokenizer, model.to(device).eval()


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise StillhouseError(f"{folder}: must be a Hugging Face model, got no config.json in it")
    if not any(any(folder.glob(pattern)) for pattern in ("tokenizer.json", "vocab.*", "*.model")):
        raise StillhouseError(
            f"{folder}: must hold the teacher's tokenizer (tokenizer.json), got none: save it there with"
            " tokenizer.save_pretrained"
        )


def _best_dtype() -> Literal["float32", "bfloat16"]:
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    has: bool = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if has or torch.cpu._is_amx_tile_supported() else "float32"


def _positions(config: Any) -> int:
    """The most tokens the model takes; RoBERTa and its kin keep the first positions for padding."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return 512
    kin = getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
    return positions - 2 if kin else positions
