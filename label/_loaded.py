"""A pretrained transformer as a teacher: loaded, in the precision that is asked for or found best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from transferset import StillhouseError
from transferset.onnx import missing_packages
from transferset.pretrained import best_dtype, fingerprint, load_pretrained, longest_input

from ._onnx import OnnxModel, export, quantize
from ._options import Dtype, Options, Precision
from ._precision import settle
from ._transformer import Forward, Signals, Texts, TorchForward, Transformer
from .teacher import Answers, Description, Request

#: Text in a chunk, of about 4 bytes a token: some dozens of batches on a processor ...
_CHUNK_BYTES, _CHUNK_BYTES_GPU = 1 << 17, 1 << 22
#: ... and less of it where a model has more weights than these: a chunk takes seconds, for a kill loses up to two.
_CHUNK_WEIGHTS = 40_000_000
_BATCH_TOKENS, _BATCH_TOKENS_GPU = 1024, 32_768
#: Operations a core that make about a minute in float32.
_LONG_WORK = 6e12
#: Questions at a time: while the batches of one run, the texts of the next are tokenized.
_WORKERS = 2


@dataclass(frozen=True)
class Reading:
    """What is taken from a model: its classes, its signals with their widths, and what of this decides the answers."""

    signals: Signals
    classes: tuple[str, ...]
    widths: Mapping[str, int]
    settings: Mapping[str, Any]


def reading(
    model: Any,
    request: Request,
    classes: tuple[str, ...] = (),
    pooling: str = "mean",
    normalize: bool = False,
    layers: str = "all",
) -> Reading:
    """What a request takes from a model; ``layers`` are those of ``hidden``."""
    chosen = hidden_layers(layers, model) if "hidden" in request.signals else ()
    width = model.config.hidden_size
    widths = {"logits": len(classes) or 1, "embedding": width, "hidden": width * len(chosen)}
    settings: dict[str, Any] = {}
    if "embedding" in request.signals:
        settings |= {"pooling": pooling, "normalize": normalize}
    if "hidden" in request.signals:
        settings["hidden_layers"] = list(chosen)
    signals = Signals(model, request.signals, pooling, normalize, chosen)
    return Reading(signals, classes, {name: widths[name] for name in request.signals}, settings)


@dataclass(frozen=True)
class Kind:
    """A kind of pretrained model.

    Attributes:
        auto: the class of transformers that loads it.
        what: what errors call such a model.
        read: from tokenizer, model and request, what is taken from the model.
        unused: how the names of weights begin that may be missing.
        longest: the most tokens of a row that the model was made for, where its files say so.
    """

    auto: str
    what: str
    read: Callable[[Any, Any, Request], Reading]
    unused: str = ""
    longest: int | None = None

    def load(self, name: str, precision: str, request: Request) -> tuple[Any, Reading]:
        """A model's tokenizer, and what is taken from the model."""
        tokenizer, model = load_pretrained(name, self.auto, self.what, precision, self.unused)
        return tokenizer, self.read(tokenizer, model, request)


class LoadedTransformer:
    """A transformer and its tokenizer, ready to be asked."""

    def __init__(
        self, description: Description, transformer: Transformer, tokenizer: str, embeddings: torch.Tensor
    ) -> None:
        self.description = description
        self._transformer, self._tokenizer, self._embeddings = transformer, tokenizer, embeddings

    def answer(self, rows: Any) -> Answers:
        """The signals of B rows of texts."""
        return self._transformer.answer(rows)

    def kept(self) -> Mapping[str, bytes]:
        """``tokenizer.json`` and ``embeddings.safetensors``: ``embeddings`` (V, H), float16."""
        from safetensors.torch import save

        table = self._embeddings.to(torch.float16).cpu().contiguous()
        return {"tokenizer.json": self._tokenizer.encode(), "embeddings.safetensors": save({"embeddings": table})}


def load_transformer(options: Options, request: Request, kind: Kind) -> LoadedTransformer:
    """The teacher that some options describe.

    Raises:
        StillhouseError: no such model, texts it cannot read, a length it cannot take, a precision that does not pass.
    """
    name = options.name
    if request.task.kind == "features":
        raise StillhouseError(f"{name}: must be given texts, got a transfer set of features")
    wanted = _wanted(options.dtype, request)
    tokenizer, reading = kind.load(name, "float32", request)
    model = reading.signals.model
    on_gpu = model.device.type == "cuda"
    max_length = _max_length(options, tokenizer, model, request, kind.longest)
    texts = Texts.of(tokenizer, model.config, max_length, request.task, request.mask_token)
    batch_tokens = options.batch_tokens or (_BATCH_TOKENS_GPU if on_gpu else _BATCH_TOKENS)
    threads = 1 if on_gpu else torch.get_num_threads()

    is_long = _operations(texts, model, request) > _LONG_WORK * threads

    def make(precision: Precision) -> Transformer:
        forward = _forward(precision, name, kind, reading, request, texts)
        return Transformer(name, texts, forward, request.signals, batch_tokens, threads)

    transformer, precision, made_with = settle(name, make, wanted, _candidates(on_gpu), request, _WORKERS, is_long)
    identity = {
        "teacher": fingerprint(name),
        "max_length": max_length,
        "dtype": precision,
        "mask_token": request.mask_token if texts.own_mask is not None else None,
        **reading.settings,
    }
    description = Description(
        identity,
        reading.classes,
        reading.widths,
        {**made_with, "device": "cuda" if on_gpu else "cpu", "batch_tokens": batch_tokens},
        chunk_rows=16_384,
        chunk_bytes=_CHUNK_BYTES_GPU if on_gpu else _chunk_bytes(model),
        workers=_WORKERS,
    )
    embeddings = model.get_input_embeddings().weight.detach()
    return LoadedTransformer(description, transformer, tokenizer.backend_tokenizer.to_str(), embeddings)


def _weights(model: Any) -> int:
    """How many weights a token meets: all but the input embeddings."""
    weights = sum(each.numel() for each in model.parameters()) - model.get_input_embeddings().weight.numel()
    return max(1, int(weights))


def _chunk_bytes(model: Any) -> int:
    """How much text a chunk holds on a processor."""
    return int(_CHUNK_BYTES * min(1.0, _CHUNK_WEIGHTS / _weights(model)))


def _operations(texts: Texts, model: Any, request: Request) -> float:
    """About how many a request takes; counted and not timed, so that ``auto`` tries the same things in each run."""
    if request.sample is None or not len(request.sample):
        return 0.0
    return float(2.0 * _weights(model) * texts.encode(request.sample.columns).lengths.mean() * request.rows)


def hidden_layers(given: str, model: Any) -> tuple[int, ...]:
    """Which hidden states are meant: ``all`` layers, or numbers with commas; 0 is what the first layer reads."""
    last = model.config.num_hidden_layers
    if given == "all":
        return tuple(range(1, last + 1))
    try:
        layers = tuple(int(each) for each in given.split(","))
    except ValueError:
        layers = (-1,)
    if not all(0 <= each <= last for each in layers) or len(set(layers)) < len(layers):
        raise StillhouseError(
            f"hidden-layers: must be all, or different numbers from 0 to {last} with commas, got {given!r}"
        )
    return layers


def _wanted(dtype: str, request: Request) -> Dtype:
    """``auto`` means, for a cache that exists, the precision it was made in."""
    made = (request.made or {}).get("dtype", "auto")
    return cast(Dtype, made if dtype == "auto" else dtype)


def _max_length(options: Options, tokenizer: Any, model: Any, request: Request, longest: int | None) -> int:
    most = longest_input(tokenizer, model)
    max_length = min(most, longest or most) if options.max_length is None else options.max_length
    pair = request.task.kind == "pair"
    fewest = tokenizer.num_special_tokens_to_add(pair=pair) + (2 if pair else 1)
    if not fewest <= max_length <= most:
        raise StillhouseError(f"max-length: must be between {fewest} and {most}, got {max_length}")
    return max_length


def _candidates(on_gpu: bool) -> list[Precision]:
    """What ``auto`` may choose besides float32."""
    found: list[Precision] = ["bfloat16"] if best_dtype() == "bfloat16" else []
    return found if on_gpu or missing_packages() else [*found, "onnx", "int8"]


def _forward(precision: Precision, name: str, kind: Kind, exact: Reading, request: Request, texts: Texts) -> Forward:
    """Runs the model in a precision; ``exact`` is what it is in float32."""
    if precision == "float32":
        return TorchForward(_fast_attention(exact.signals))
    if precision == "bfloat16":
        return TorchForward(_exact_head(_fast_attention(kind.load(name, precision, request)[1].signals)))
    pair = request.task.kind == "pair"
    data = export(exact.signals, request.signals, pair)
    # What int8 makes of a model must depend on the model alone, or a resumed run would say other things.
    return OnnxModel(quantize(data, texts.nonsense(pair)) if precision == "int8" else data, request.signals)


def _fast_attention(signals: Signals) -> Signals:
    """The plain products of attention are faster than torch's fused ones on a processor, measured up to 512 tokens."""
    if signals.model.device.type == "cpu":
        signals.model.set_attn_implementation("eager")
    return signals


def _exact_head(signals: Signals) -> Signals:
    """What lies above the encoder computes in float32, at no cost: bfloat16 has 8 bits, too few for a logit."""
    model = signals.model
    has_head = hasattr(model, model.base_model_prefix)
    for name, module in model.named_children():
        if has_head and name != model.base_model_prefix:
            module.float().register_forward_pre_hook(_in_float32)
    return signals


def _in_float32(_: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.float() if torch.is_tensor(each) and each.is_floating_point() else each for each in inputs)
