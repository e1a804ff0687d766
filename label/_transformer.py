"""A transformer that answers about texts: tokens, batches, forward passes, signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from threading import Barrier
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from transferset import Matrix, Signal, StillhouseError, Task
from transferset.batches import plan_batches

from .teacher import Answers

Ids = npt.NDArray[np.int64]
#: From token ids, attention mask and token types, each (B, T), to the signals of B rows in order.
Forward = Callable[[Ids, Ids, Ids | None], Sequence[Matrix]]
#: How many batches of nonsense, rows in one, and pieces in a row.
_NONSENSE_BATCHES, _NONSENSE_ROWS, _NONSENSE_TOKENS = 4, 16, 30


class Signals(nn.Module):
    """A model and what is taken from it: a float32 tensor (B, width) for each signal.

    ``logits`` as the model gives them; ``embedding``, the last hidden states of a text's tokens in one vector, by
    ``pooling``; ``hidden``, the vector of the first token ([CLS], in XLNet the last one) after each of some layers, end
    to end.
    """

    def __init__(
        self,
        model: Any,
        signals: Sequence[Signal],
        pooling: str = "mean",
        normalize: bool = False,
        layers: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.model, self.signals, self.layers = model, tuple(signals), tuple(layers)
        self.pooling, self.normalize = pooling, normalize
        self._cls = -1 if ends_with_cls(model.config) else 0

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """One forward pass over B texts of T tokens, for all signals."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            output_hidden_states=self.signals != ("logits",),
            **types,
        )
        return tuple(self._signal(each, output, attention_mask).float() for each in self.signals)

    def _signal(self, signal: Signal, output: Any, mask: Tensor | None) -> Tensor:
        if signal == "logits":
            logits: Tensor = output.logits
            return logits
        if signal == "hidden":
            return torch.cat([output.hidden_states[layer][:, self._cls] for layer in self.layers], 1)
        last = output.last_hidden_state if "last_hidden_state" in output else output.hidden_states[-1]
        vectors = last[:, self._cls] if self.pooling == "cls" else _mean(last.float(), mask)
        return nn.functional.normalize(vectors, dim=1) if self.normalize else vectors


def ends_with_cls(config: Any) -> bool:
    """Whether a text's [CLS] is its last token, as in XLNet; there padding must come before the text."""
    return getattr(config, "summary_type", None) == "last"


def _mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of (B, T, H) over the tokens that are there."""
    if mask is None:
        return states.mean(1)
    weights = mask.unsqueeze(2).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


class TorchForward:
    """Runs ``Signals`` in torch."""

    def __init__(self, signals: Signals) -> None:
        self.signals = signals.eval()
        self.device = next(signals.parameters()).device

    def __call__(self, ids: Ids, mask: Ids, types: Ids | None) -> Sequence[Matrix]:
        """The signals of a batch, (B, width) each."""
        with torch.inference_mode():
            # A batch without padding needs no mask, and attention is faster without.
            given = [None if each is None else torch.from_numpy(each).to(self.device) for each in (ids, mask, types)]
            outputs = self.signals(given[0], None if mask.all() else given[1], given[2])
            return [each.cpu().numpy() for each in outputs]


def single_threads(count: int) -> ThreadPoolExecutor:
    """Threads that compute alone each, where torch would have several work on one product.

    Torch notes the number for each thread, and for the process as that of threads to come: there it is put back.
    """
    before, all_started = torch.get_num_threads(), Barrier(count + 1)
    executor = ThreadPoolExecutor(count, initializer=_compute_alone)
    for _ in range(count):
        executor.submit(all_started.wait)
    all_started.wait()
    torch.set_num_threads(before)
    return executor


def _compute_alone() -> None:
    # The first question a thread has about its number makes that of the process its own, so it is asked first.
    torch.get_num_threads()
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Texts:
    """How texts become tokens.

    Attributes:
        tokenizer: cuts what is longer than ``max_length``; does not pad.
        padding: the id that fills a batch up.
        with_types: whether the model is told which text of a pair a token is from.
        mask_token, own_mask: what stands for a masked word, and what the tokenizer reads instead; None where that
            is the same.
        pad_left: whether padding comes before a text.
    """

    tokenizer: Tokenizer
    padding: int
    with_types: bool
    mask_token: str | None
    own_mask: str | None
    pad_left: bool = False

    @classmethod
    def of(cls, tokenizer: Any, config: Any, max_length: int, task: Task, mask_token: str | None) -> Texts:
        """From the tokenizer of transformers, which is copied, and a model's configuration."""
        fast = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        fast.enable_truncation(max_length, direction=tokenizer.truncation_side)
        fast.no_padding()
        own = tokenizer.mask_token or tokenizer.unk_token
        with_types = task.kind == "pair" and "token_type_ids" in tokenizer.model_input_names
        own = None if mask_token in (None, own) else own
        return cls(fast, config.pad_token_id, with_types, mask_token, own, ends_with_cls(config))

    def encode(self, columns: Sequence[pa.ChunkedArray]) -> Tokens:
        """The tokens of B texts or pairs."""
        texts = [self._render(column).to_pylist() for column in columns]
        encoded = self.tokenizer.encode_batch(list(zip(*texts, strict=True)) if len(texts) == 2 else texts[0])
        rows = [each.ids for each in encoded]
        lengths = np.fromiter(map(len, rows), np.int32, len(rows))
        ids = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
        types = (
            np.fromiter(chain.from_iterable(each.type_ids for each in encoded), np.int64, len(ids))
            if self.with_types
            else None
        )
        return Tokens(ids, types, lengths, np.cumsum(lengths) - lengths, sum(1 for each in encoded if each.overflowing))

    def nonsense(self, pair: bool) -> list[tuple[Ids, Ids, Ids | None]]:
        """Batches of texts of random pieces, always the same ones: what a model does with any text shows in them."""
        random, size = np.random.default_rng(0), self.tokenizer.get_vocab_size()
        columns = []
        for _ in range(2 if pair else 1):
            pieces = random.integers(0, size, (_NONSENSE_BATCHES * _NONSENSE_ROWS, _NONSENSE_TOKENS)).tolist()
            columns.append(pa.chunked_array([self.tokenizer.decode_batch(pieces)]))
        tokens = self.encode(columns)
        rows = np.arange(len(tokens.lengths)).reshape(_NONSENSE_BATCHES, -1)
        return [tokens.padded(each, self.padding) for each in rows]

    def _render(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        return texts if self.own_mask is None else pc.replace_substring(texts, self.mask_token, self.own_mask)


@dataclass(frozen=True)
class Tokens:
    """B rows of tokens, laid end to end: ids and types, lengths (B,), starts (B,), and how many rows were cut."""

    ids: Ids
    types: Ids | None
    lengths: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    cut: int

    def padded(self, rows: npt.NDArray[np.int64], padding: int, left: bool = False) -> tuple[Ids, Ids, Ids | None]:
        """Ids, mask and types, each (rows, T), of some rows; ``left``: with what fills them up before the text."""
        lengths = self.lengths[rows].astype(np.int64)[:, None]
        steps = np.arange(lengths.max()) - (lengths.max() - lengths if left else 0)
        there = (steps >= 0) & (steps < lengths)
        place = np.where(there, self.starts[rows][:, None] + steps, 0)
        types = None if self.types is None else np.where(there, self.types[place], 0)
        return np.where(there, self.ids[place], padding), there.astype(np.int64), types


class Transformer:
    """Answers about rows of texts: tokenized together, in batches of about one length within a budget of tokens.

    Each batch runs on one of ``threads`` threads; so no core waits for another, and while a caller's batches run the
    next one's texts are tokenized.
    """

    def __init__(
        self, name: str, texts: Texts, forward: Forward, signals: Sequence[Signal], batch_tokens: int, threads: int = 1
    ) -> None:
        self.name, self.texts, self.forward, self.signals = name, texts, forward, tuple(signals)
        self.batch_tokens = batch_tokens
        self._threads = single_threads(threads)

    def answer(self, rows: pa.Table) -> Answers:
        """The signals of B rows, a table of one column of texts or two."""
        tokens = self.texts.encode(rows.columns)
        if not tokens.lengths.all():
            # A tokenizer that adds no tokens of its own, as that of GPT-2.
            raise StillhouseError(f"{self.name}: must be given texts of at least one token, got an empty text")
        order, bounds = plan_batches(tokens.lengths, self.batch_tokens)
        running = [self._threads.submit(self._batch, tokens, order[first:last]) for first, last in pairwise(bounds)]
        try:
            batches = [each.result() for each in running]
        finally:
            for each in running:
                each.cancel()
        found: dict[str, Matrix] = {}
        for name, parts in zip(self.signals, zip(*batches, strict=True), strict=True):
            matrix = np.concatenate(parts)
            found[name] = np.empty_like(matrix)
            found[name][order] = matrix
        return Answers(found, tokens.cut)

    def _batch(self, tokens: Tokens, rows: npt.NDArray[np.int64]) -> Sequence[Matrix]:
        """The signals of a batch; where memory does not suffice, of its halves, and later batches are smaller too."""
        try:
            return self.forward(*tokens.padded(rows, self.texts.padding, self.texts.pad_left))
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
        if len(rows) == 1:
            length = int(tokens.lengths[rows[0]])
            raise StillhouseError(
                f"{self.name}: must fit in memory with a text of {length} tokens, got out of memory:"
                " use a lower --max-length"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.batch_tokens = max(1, min(self.batch_tokens, int(tokens.lengths[rows].max()) * len(rows) // 2))
        half = len(rows) // 2
        halves = self._batch(tokens, rows[:half]), self._batch(tokens, rows[half:])
        return [np.concatenate(both) for both in zip(*halves, strict=True)]


def _out_of_memory(error: BaseException) -> bool:
    """Whether that is what a library means: on a processor torch raises a plain RuntimeError."""
    said = str(error).lower()
    phrases = ("out of memory", "not enough memory", "allocate memory", "bad allocation")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(each in said for each in phrases)
