"""A masked language model that proposes words: batched across texts, the head and the top k at the words alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError
from transferset.batches import plan_batches
from transferset.pieces import Pieces
from transferset.pretrained import load_pretrained, longest_input

from ._block import Places

Ids = npt.NDArray[np.int32]
CONTEXTS = ("masked", "with_original", "grouped", "unmasked")
#: In ``grouped``, how many eligible words lie from one masked word to the next.
_APART = 4
#: Beyond the k wanted, for the original word in its cases.
_SPARE = 4


@dataclass(frozen=True)
class _Row:
    """What the model reads at once: a run of a text's pieces, where some of them are asked about."""

    pieces: Ids
    places: Places
    asked: Places


class MaskedLM:
    """A Hugging Face masked language model and its tokenizer.

    Raises:
        StillhouseError: no such model, or a tokenizer without a mask token.
    """

    def __init__(self, name: str, context: str, k: int, max_length: int) -> None:
        self.context, self.k = context, k
        # In float32 what a word is offered does not depend on the words that are asked about with it.
        self.tokenizer, self.model = load_pretrained(name, "AutoModelForMaskedLM", "a masked language model", "float32")
        if self.tokenizer.mask_token_id is None:
            raise StillhouseError(f"{name}: tokenizer must have a mask token, got none")
        self.mask_id: int = self.tokenizer.mask_token_id
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        # A text that contains "[MASK]" says so in letters.
        backend.encode_special_tokens = True
        self._backend = backend
        self.before, self.between, self.after = self._frame()
        room = min(max_length, longest_input(self.tokenizer, self.model)) - len(self.before) - len(self.after)
        self.room = (room - len(self.between)) // 2 if context == "with_original" else room
        self.pieces = Pieces.of(backend, self.model.config.vocab_size)
        self.lower: Ids = pc.utf8_lower(self.pieces.texts).dictionary_encode().indices.to_numpy()
        self._barred = ~self.pieces.whole
        self.batch_tokens = 2048 if self.model.device.type == "cpu" else 32_768
        self._asked: tuple[Any, Any] | None = None
        self.model.base_model.register_forward_hook(self._only_asked)

    def pieces_of(self, texts: Sequence[str]) -> list[tuple[Ids, Any]]:
        """Of each text its pieces, and where each begins and ends in characters, (pieces, 2)."""
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [(np.array(each.ids, np.int32), np.array(each.offsets, np.int64).reshape(-1, 2)) for each in encodings]

    def propose(self, texts: Sequence[str], words: Sequence[Places]) -> Iterator[tuple[Places, pa.Array]]:
        """Batch by batch: numbers of words, (P,), and a list of at most k candidates for each.

        ``words`` has for each text the words asked about, (W, 3): a number, and where the word begins and ends in
        characters. One that is not a single piece is left out.
        """
        rows = [
            row
            for (pieces, offsets), asked in zip(self.pieces_of(texts), words, strict=True)
            for row in self._rows(pieces, self._matched(pieces, offsets, asked))
        ]
        if not rows:
            return
        doubled = 2 if self.context == "with_original" else 1
        lengths = np.array([len(row.pieces) * doubled for row in rows], np.int32)
        order, bounds = plan_batches(lengths, self.batch_tokens)
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            batch = [rows[place] for place in order[first:last]]
            yield np.concatenate([row.asked for row in batch]), self._offers(batch)

    def _rows(self, pieces: Ids, matched: Places) -> Iterator[_Row]:
        """``matched``, (W, 2): the piece and the number of each word asked about."""
        for start in range(0, len(pieces), self.room):
            run = pieces[start : start + self.room]
            here = matched[(matched[:, 0] >= start) & (matched[:, 0] < start + len(run))]
            places, asked = here[:, 0] - start, here[:, 1]
            groups = {"unmasked": min(1, len(here)), "grouped": min(_APART, len(here))}.get(self.context, len(here))
            for group in range(groups):
                yield _Row(run, places[group::groups], asked[group::groups])

    def _matched(self, pieces: Ids, offsets: Places, asked: Places) -> Places:
        """(W, 2): the piece that is the word, and the word's number, for words that are a single known piece."""
        number, start, end = asked.T
        seen = np.flatnonzero(~self.pieces.blank[pieces])
        offsets = offsets[seen]
        first, last = np.searchsorted(offsets[:, 1], start, side="right"), np.searchsorted(offsets[:, 0], end)
        alone = last - first == 1
        number, start, end, place = number[alone], start[alone], end[alone], first[alone]
        # Some tokenizers count the blank before a word as part of its piece.
        fits = (offsets[place, 1] == end) & ((offsets[place, 0] == start) | (offsets[place, 0] == start - 1))
        fits &= ~self.pieces.inner[pieces[seen[place]]]
        return np.stack([seen[place[fits]], number[fits]], 1)

    def _offers(self, batch: Sequence[_Row]) -> pa.Array:
        top = self._top(batch)
        own = np.concatenate([row.pieces[row.places] for row in batch])
        # The lists come best first; of each the first k that are words, and other words than the original.
        good = (top >= 0) & (self.lower[top] != self.lower[own][:, None])
        good &= np.cumsum(good, 1) <= self.k
        offsets = np.concatenate([[0], np.cumsum(good.sum(1))])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), self.pieces.texts.take(pa.array(top[good])))

    def _top(self, batch: Sequence[_Row]) -> npt.NDArray[np.int64]:
        """(P, k and a few more): the best pieces at each place asked about, best first; -1 for none."""
        import torch

        inputs, rows, places = self._inputs(batch)
        device = self.model.device
        self._asked = (torch.from_numpy(rows).to(device), torch.from_numpy(places).to(device))
        with torch.inference_mode():
            output = self.model(**{name: torch.from_numpy(array).to(device) for name, array in inputs.items()})
            logits = output.logits[0].float()
            logits[:, torch.from_numpy(self._barred).to(device)] = -torch.inf
            best, ids = logits.topk(min(self.k + _SPARE, logits.shape[1]), sorted=True)
            ids[torch.isinf(best)] = -1
        return np.asarray(ids.cpu().numpy())

    def _inputs(self, batch: Sequence[_Row]) -> tuple[dict[str, Any], Places, Places]:
        lead, widest = len(self.before), max(len(row.pieces) for row in batch)
        pair = self.context == "with_original"
        width = widest * (2 if pair else 1) + lead + len(self.after) + (len(self.between) if pair else 0)
        ids = np.full((len(batch), width), self.model.config.pad_token_id, np.int64)
        attention, types = np.zeros_like(ids), np.zeros_like(ids)
        for number, row in enumerate(batch):
            masked = row.pieces.copy()
            if self.context != "unmasked":
                masked[row.places] = self.mask_id
            second = [self.between, row.pieces] if pair else []
            line = np.concatenate([self.before, masked, *second, self.after])
            ids[number, : len(line)], attention[number, : len(line)] = line, 1
            if pair:
                # The first separator belongs to the first segment, as in BERT.
                types[number, lead + len(masked) + 1 : len(line)] = 1
        rows = np.repeat(np.arange(len(batch)), [len(row.places) for row in batch])
        places = np.concatenate([row.places for row in batch]) + lead
        inputs = {"input_ids": ids, "attention_mask": attention}
        if pair and getattr(self.model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = types
        return inputs, rows, places

    def _only_asked(self, module: Any, args: Any, output: Any) -> Any:
        """Lets the model's own head see nothing but the places asked about: (1, P, H)."""
        if self._asked is None:
            return output
        rows, places = self._asked
        hidden = output[0][rows, places][None]
        if isinstance(output, tuple):
            return (hidden, *output[1:])
        output.last_hidden_state = hidden
        return output

    def _frame(self) -> tuple[Ids, Ids, Ids]:
        """The special tokens before a text, between the two of a pair, and after the last."""
        one = _ids(self._backend.encode("a"))
        bare = _ids(self._backend.encode("a", add_special_tokens=False))
        two = _ids(self._backend.encode("a", "a"))
        lead = next(i for i in range(len(one)) if (one[i : i + len(bare)] == bare).all())
        tail = one[lead + len(bare) :]
        middle = two[lead + len(bare) : len(two) - len(bare) - len(tail)]
        return one[:lead], middle, tail


def _ids(encoding: Any) -> Ids:
    return np.array(encoding.ids, np.int32)
