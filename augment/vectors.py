"""Words give way to their neighbours among word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm
from xxhash import xxh3_128

from transferset import Task, content_keys
from transferset.files import hash_file
from transferset.parameters import check_share, check_whole
from transferset.pieces import Pieces, are_words, mean_vectors
from transferset.pretrained import fingerprint, input_embeddings
from transferset.vectors import existing_vectors, first_vectors, read_vectors

from ._block import Block, Draft, Step
from ._candidates import Candidates, carry_case, draw, has_offers, mark_of
from ._corpus import Corpus
from .mlm import askable

Table = npt.NDArray[np.float32]
#: Queries multiplied at once: their similarities to 100,000 words are 200 MB.
_CHUNK = 512


@dataclass(frozen=True)
class Vectors:
    """Replaces each word with probability ``rate`` by one of its ``k`` nearest by cosine among word vectors.

    ``source`` is a GloVe or word2vec file, of which the first ``most_words`` are candidates, or a Hugging Face model,
    whose input embeddings are the vectors: there a word of several pieces is their mean, and the words that
    are one piece are the candidates. Neighbours are found once for each distinct word and kept beside the transfer set
    (``--candidates`` shares them between runs). All k are equally likely; only words with a letter or digit take part,
    and never the word itself in another case. Case is carried over.

    With ``rest`` only words are replaced for which the steps before had nothing to offer: after ``mlm`` those that
    are several pieces of its vocabulary, as published.

    Source: Jiao et al. 2020, TinyBERT (arXiv 1909.10351), algorithm 1, words of several pieces; K = 15.

    Raises:
        StillhouseError: a rate outside 0 to 1, or no vectors at ``source``.
    """

    rate: Annotated[float, "share of words replaced, 0 to 1"] = 0.4
    k: Annotated[int, "neighbours of a word"] = 15
    source: Annotated[str, "GloVe or word2vec file, or a Hugging Face model"] = "bert-base-uncased"
    most_words: Annotated[int, "words of a file, from its first, that may stand in for others"] = 100_000
    rest: Annotated[bool, "only words for which earlier steps had nothing to offer"] = False

    def __post_init__(self) -> None:
        check_share("vectors: rate", self.rate)
        check_whole("vectors: k", self.k, 1)
        check_whole("vectors: most_words", self.most_words, 2)

    def fit(self, corpus: Corpus) -> Step:
        """Finds the neighbours of all words of the corpus that nobody looked up before."""
        about = {"source": _source_mark(self.source), "k": self.k, "most_words": self.most_words}
        learned = corpus.learned(f"vectors-{mark_of(about)}", lambda: self._look_up(corpus, about))
        words, offers = (learned[name].combine_chunks() for name in ("word", "offers"))
        return partial(self._edit, words, offers)

    def _look_up(self, corpus: Corpus, about: dict[str, Any]) -> pa.Table:
        words = _distinct_words(corpus)
        keys = content_keys(Task("text", ("word",)), pa.table({"word": words}))
        candidates = Candidates(corpus.models, "vectors", about)
        pending = np.flatnonzero(candidates.missing(keys))
        if len(pending):
            candidates.add(keys[pending], self._neighbours(words.take(pa.array(pending)).to_pylist(), corpus.progress))
        return pa.table({"word": words, "offers": candidates.look_up(keys)})

    def _neighbours(self, words: Sequence[str], progress: bool) -> pa.Array:
        """The neighbours of W words, W lists: empty for a word without a vector."""
        if _is_file(self.source):
            found, queries = read_vectors(self.source, words)
            names, table = first_vectors(self.source, self.most_words)
            strings = pa.array(names, pa.string())
            whole = are_words(strings)
        else:
            tokenizer, table = input_embeddings(self.source)
            queries, known = mean_vectors(tokenizer, table, words)
            found, queries = np.flatnonzero(known), queries[known]
            pieces = Pieces.of(tokenizer, len(table))
            strings, whole = pieces.texts, pieces.whole
        found, queries = found[queries.any(1)], queries[queries.any(1)]
        chosen = np.flatnonzero(whole & table.any(1))
        # A word and its other cases are one candidate: the first of them.
        lower = pc.utf8_lower(strings.take(pa.array(chosen)))
        codes = lower.dictionary_encode().indices.to_numpy()
        _, first = np.unique(codes, return_index=True)
        first.sort()
        own = pc.index_in(
            pc.utf8_lower(pa.array(words, pa.string()).take(pa.array(found))), lower.take(pa.array(first))
        )
        own_place = pc.fill_null(own, -1).to_numpy().astype(np.int64)
        nearest = nearest_rows(queries, table[chosen[first]], own_place, self.k, progress)
        names_of = strings.take(pa.array(chosen[first]))
        counts = np.zeros(len(words), np.int64)
        counts[found] = (nearest >= 0).sum(1)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names_of.take(pa.array(nearest[nearest >= 0])))

    def _edit(self, words: pa.Array, offers: pa.Array, draft: Draft) -> None:
        block = draft.block
        distinct = block.words.strings.dictionary_encode()
        place = pc.index_in(distinct.dictionary.cast(pa.string()), value_set=words)
        row = pc.fill_null(place, -1).to_numpy().astype(np.int64)[distinct.indices.to_numpy()]
        # The words that were looked up have letters; protected ones cannot be claimed.
        eligible = row >= 0
        eligible[eligible] = has_offers(offers)[row[eligible]]
        places = draft.claim(self.rate, eligible)
        if self.rest:
            places = places[~draft.offered[places]]
        draft.offer(eligible)
        old = draft.word[places]
        new = draw(offers, row[old], draft.draws(draft.name("vectors"), places))
        draft.replace("vectors", places, carry_case(block.words.strings.take(pa.array(old)), new))


def nearest_rows(
    queries: Table, table: Table, own: npt.NDArray[np.int64], k: int, progress: bool = False
) -> npt.NDArray[np.int64]:
    """(Q, k): the rows of a table, (V, E), nearest to each query, (Q, E), by cosine; -1 where there are no more.

    ``own``, (Q,), is a row that must not be a query's neighbour; -1 for none.

    >>> table = np.eye(3, dtype=np.float32)
    >>> nearest_rows(np.array([[1, 0.5, 0]], np.float32), table, np.array([0]), 2).tolist()
    [[1, 2]]
    """
    import torch

    unit = torch.from_numpy(_unit(table))
    found = np.full((len(queries), k), -1)
    wanted = min(k + 1, len(table))
    bar = tqdm(desc="finding neighbours", total=len(queries), unit=" words", disable=not progress)
    with bar, torch.inference_mode():
        for start in range(0, len(queries), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            similar = torch.from_numpy(_unit(queries[chunk])) @ unit.T
            best = similar.topk(wanted, sorted=True).indices.numpy()
            other = best != own[chunk, None]
            # One more than k were taken: the word itself goes, or the last.
            other[:, k:] &= ~other[:, :k].all(1, keepdims=True)
            rows, places = np.nonzero(other)
            rank = np.cumsum(other, 1) - 1
            found[start + rows, rank[rows, places]] = best[rows, places]
            bar.update(len(best))
    return found


def _unit(table: Table) -> Table:
    length = np.linalg.norm(table, axis=1, keepdims=True)
    return np.ascontiguousarray(table / np.maximum(length, 1e-12), np.float32)


def _distinct_words(corpus: Corpus) -> pa.Array:
    """The distinct words of a corpus that may be replaced, sorted."""
    tables = corpus.map_blocks(_block_words, "collecting words")
    words = pc.unique(pa.concat_tables(tables)["word"].combine_chunks())
    return words.take(pc.sort_indices(words))


def _block_words(_: Corpus, block: Block) -> pa.Table:
    words = block.words.strings.filter(pa.array(askable(block)))
    return pa.table({"word": pc.unique(words).cast(pa.string())})


def _is_file(source: str) -> bool:
    return Path(source).is_file() or Path(source).suffix in (".txt", ".vec", ".bin")


def _source_mark(source: str) -> str:
    """What tells two sources apart: a hash of their content."""
    if not _is_file(source):
        return fingerprint(source)
    digest = xxh3_128()
    hash_file(digest, existing_vectors(source))
    return digest.hexdigest()
