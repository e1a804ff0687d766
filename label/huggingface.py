"""A Hugging Face sequence-classification model as the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError, Task, unknown
from transferset.files import write_file
from transferset.pretrained import best_dtype, fingerprint, load_pretrained, longest_input

from .teacher import Encoded

Dtype = Literal["auto", "float32", "bfloat16"]


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
        self.dtype = best_dtype() if dtype == "auto" else dtype
        self.tokenizer, self.model = load_pretrained(
            name, "AutoModelForSequenceClassification", "a sequence-classification model", self.dtype
        )
        longest = longest_input(self.tokenizer, self.model)
        self.max_length = longest if max_length is None else max_length
        fewest = self.tokenizer.num_special_tokens_to_add(pair=True) + 2
        if not fewest <= self.max_length <= longest:
            raise StillhouseError(f"max-length: must be between {fewest} and {longest}, got {max_length}")

    def identity(self, mask_token: str | None) -> dict[str, Any]:
        """Hash of weights, config and tokenizer; maximum length; precision; the mask token if it is not its own."""
        rendered = mask_token if self._own_mask(mask_token) is not None else None
        return {
            "teacher": fingerprint(self.name),
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
