"""Word classes that stand in for parts of speech where there is no tagger.

Words that stand between the same frequent words belong together: each word is described by the counts of its
neighbours and by its last letters, the description is reduced by SVD, and k-means makes the classes.
Or the words are described by vectors from a file.

Source: Schuetze 1995 (cmp-lg/9503009), distributional part-of-speech tagging, whose context vectors these
are; the suffixes, for words too rare to have a context, are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from transferset import StillhouseError

from ._block import Block
from ._corpus import Corpus
from ._taggers import Tagger, tagger_name

CLASSES = 48
CONTEXT_WORDS = 400
DIMENSIONS = 48
#: Words beyond this many, the rarest, are one class; it bounds memory on large corpora.
MOST_WORDS = 100_000
_SUFFIX_WEIGHT = 0.4


def class_tagger(corpus: Corpus, spec: str) -> Tagger:
    """Tags each word with the number of its class; symbols and numbers have classes of their own.

    Raises:
        StillhouseError: a file of vectors that cannot be read, or that has none of the corpus's words.
    """
    vectors = spec.partition(":")[2] or None
    learned = corpus.learned(tagger_name(spec), lambda: _learn(corpus, vectors))
    words, names = learned["word"].combine_chunks(), learned["class"].to_pylist()

    def tag(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        flat = [word for sentence in sentences for word in sentence]
        places = pc.index_in(pc.utf8_lower(pa.array(flat, pa.string())), value_set=words).to_pylist()
        tags = iter(
            _plain_class(word) or ("rare" if place is None else names[place])
            for word, place in zip(flat, places, strict=True)
        )
        return [[next(tags) for _ in sentence] for sentence in sentences]

    return tag


def _plain_class(word: str) -> str | None:
    if any(character.isalpha() for character in word):
        return None
    return "number" if any(character.isdigit() for character in word) else f"symbol {word}"


def _learn(corpus: Corpus, vectors: str | None) -> pa.Table:
    counts = pa.concat_tables(corpus.map_blocks(_count_words, "counting words"))
    totals = counts.group_by("word").aggregate([("count", "sum")])
    order = [("count_sum", "descending"), ("word", "ascending")]
    words = totals.sort_by(order)["word"].slice(0, MOST_WORDS).combine_chunks()
    words = words.filter(pa.array([_plain_class(word) is None for word in words.to_pylist()], pa.bool_()))
    if not len(words):
        return pa.table({"word": words, "class": pa.array([], pa.string())})
    features = _context_features(corpus, words) if vectors is None else _file_features(words, vectors)
    return pa.table({"word": words, "class": [f"class {each}" for each in _cluster(features)]})


def _cluster(features: npt.NDArray[np.float64]) -> list[int]:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(features, axis=0)) if len(features) else 0
    if distinct <= 1:
        return [0] * len(features)
    # Few words make few classes: in a class of one a word could only replace itself.
    count = min(CLASSES, distinct, max(2, round(len(features) ** 0.5)))
    with threadpool_limits(1):
        labels: list[int] = KMeans(count, n_init=1, random_state=0).fit(features).labels_.tolist()
    return labels


def _lowered(block: Block) -> pa.Array:
    return pc.utf8_lower(block.words.strings).cast(pa.string())


def _count_words(_: Corpus, block: Block) -> pa.Table:
    counts = pa.table({"word": _lowered(block)}).group_by("word").aggregate([([], "count_all")])
    return counts.rename_columns(["word", "count"])


def _context_features(corpus: Corpus, words: pa.Array) -> npt.NDArray[np.float64]:
    """(V, D): each word by its neighbours to the left and right and by its suffixes."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    size, frequent = len(words), min(CONTEXT_WORDS, len(words))
    # The last column on each side is "any other word"; the one before it, the edge of the text.
    contexts = sparse.csr_matrix((size, 2 * (frequent + 2)), dtype=np.float32)
    for index in range(corpus.blocks):
        contexts = contexts + _block_contexts(corpus.block(index), words, frequent)
    contexts.data = np.log1p(contexts.data)
    features = sparse.hstack([normalize(contexts), _SUFFIX_WEIGHT * _suffixes(words)]).tocsr()
    if min(features.shape) <= DIMENSIONS:
        return np.asarray(features.todense())
    reduced = TruncatedSVD(DIMENSIONS, random_state=0).fit_transform(features)
    return np.asarray(normalize(reduced))


def _block_contexts(block: Block, words: pa.Array, frequent: int) -> sparse.csr_matrix:
    ids = pc.fill_null(pc.index_in(_lowered(block), value_set=words), -1).to_numpy()
    bucket = np.where((ids >= 0) & (ids < frequent), ids, frequent + 1)
    begins = np.zeros(len(ids) + 1, np.bool_)
    begins[block.words.first] = True
    left = np.where(begins[:-1], frequent, np.roll(bucket, 1))
    right = np.where(begins[1:], frequent, np.roll(bucket, -1))
    known = ids >= 0
    rows = np.concatenate([ids[known], ids[known]])
    columns = np.concatenate([left[known], right[known] + frequent + 2])
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(words), 2 * (frequent + 2)))


def _suffixes(words: pa.Array) -> sparse.csr_matrix:
    """(V, S): the last one, two and three letters of each word, as unit rows."""
    columns = []
    for letters in (1, 2, 3):
        ends = pc.utf8_slice_codeunits(words, -letters, None).dictionary_encode()
        codes = ends.indices.to_numpy()
        shape = (len(words), len(ends.dictionary))
        columns.append(
            sparse.csr_matrix((np.full(len(words), 3**-0.5, np.float32), (np.arange(len(words)), codes)), shape)
        )
    return sparse.hstack(columns).tocsr()


def _file_features(words: pa.Array, path: str) -> npt.NDArray[np.float64]:
    from transferset.vectors import read_vectors

    found, vectors = read_vectors(path, words.to_pylist())
    if not len(found):
        raise StillhouseError(f"{path}: must have vectors for words of the corpus, got none of {len(words)}")
    features = np.zeros((len(words), vectors.shape[1]))
    features[found] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return features
