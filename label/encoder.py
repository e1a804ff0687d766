"""A sentence encoder as the teacher: what it gives is a vector for each text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from transferset import Signal, StillhouseError

from ._options import check_options
from .teacher import Request

if TYPE_CHECKING:
    from ._loaded import LoadedTransformer, Reading


@dataclass(frozen=True)
class Encoder:
    """A transformer whose token vectors are pooled: a model of sentence-transformers, or any encoder.

    What a directory of sentence-transformers says of pooling, of the length of a vector and of the most tokens is
    done; elsewhere the mean over the tokens is taken.

    Raises:
        StillhouseError: a value out of range.
    """

    gives: ClassVar[tuple[Signal, ...]] = ("embedding", "hidden")

    name: Annotated[str, "directory or hub name"]
    max_length: Annotated[int | None, "most tokens of a row; by default as many as the teacher takes"] = None
    dtype: Annotated[str, "precision: auto, float32, bfloat16, onnx (float32 in ONNX Runtime) or int8"] = "auto"
    batch_tokens: Annotated[int | None, "tokens in a forward pass, by default 1024, on a GPU 32768"] = None
    pooling: Annotated[str | None, "what makes the embedding of a text: mean of its tokens, or cls"] = None
    hidden_layers: Annotated[str, "layers whose [CLS] vectors hidden holds: all, or numbers such as 2,4,6"] = "all"

    def __post_init__(self) -> None:
        check_options(self)

    def load(self, request: Request) -> LoadedTransformer:
        """The encoder; of a task its classes play no part."""
        from ._loaded import Kind, load_transformer

        longest = (_config(self.name, "sentence_bert_config.json") or {}).get("max_seq_length")
        return load_transformer(self, request, Kind("AutoModel", "an encoder", self._read, "pooler.", longest))

    def _read(self, tokenizer: Any, model: Any, request: Request) -> Reading:
        from ._loaded import reading

        pooling, normalize = _modules(self.name, self.pooling)
        return reading(model, request, (), pooling, normalize, self.hidden_layers)


def _modules(name: str, wanted: str | None) -> tuple[str, bool]:
    """How to pool, as wanted or as a model of sentence-transformers does, and whether it brings vectors to length 1."""
    modules = _config(name, "modules.json")
    if modules is None:
        return wanted or "mean", False
    kinds = {str(each["type"]).rsplit(".", 1)[-1]: str(each["path"]) for each in modules}
    others = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
    if others:
        raise StillhouseError(
            f"{name}: must be a transformer with pooling and perhaps normalizing, got {others[0]} too"
        )
    if wanted is not None:
        return wanted, "Normalize" in kinds
    config = _config(name, f"{kinds['Pooling']}/config.json") or {} if "Pooling" in kinds else {}
    # Older files have a flag for each mode, newer ones its name.
    modes = [mode for mode in config if mode.startswith("pooling_mode_") and config[mode] is True]
    mode = str(config.get("pooling_mode") or (modes[0].removeprefix("pooling_mode_") if len(modes) == 1 else modes))
    pooling = {"mean": "mean", "mean_tokens": "mean", "cls": "cls", "cls_token": "cls", "[]": "mean"}.get(mode)
    if pooling is None:
        raise StillhouseError(f"{name}: pooling must be mean or cls, got {mode}: say --pooling to use it all the same")
    return pooling, "Normalize" in kinds


def _config(name: str, file: str) -> Any:
    """A JSON file of a model's directory or hub page; None where there is none."""
    from transformers.utils import cached_file

    try:
        path = cached_file(name, file, _raise_exceptions_for_missing_entries=False)
        return None if path is None else json.loads(Path(path).read_bytes())
    except OSError:
        return None
    except ValueError as error:
        raise StillhouseError(f"{name}: {file} must be JSON: {error}") from None
