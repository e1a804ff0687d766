"""The other sides of the text benchmarks: nlpaug, and the plain scripts that most people write.

Each is called the fastest way it offers. What loads a model gives back functions without arguments, so that loading
is not timed. nlpaug draws from Python's, NumPy's and torch's global generators and takes no seed.
"""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transferset import StillhouseError


def nlpaug_words(
    texts: Sequence[str], copies: int = 1, share: float = 0.2, own_tokenizer: bool = False
) -> dict[str, Callable[[], int]]:
    """Word augmenters of nlpaug that need no model and no download; each run gives the number of sentences it made.

    ``share`` of the words change, by default as many as under Tang's two word rules. Texts go in as one list, once for
    each copy: ``n`` is forced to 1 for a list, and ``n`` with single texts is no faster. Words are split at whitespace
    and joined by spaces, which nlpaug allows and which is 1.5 times as fast as its own regular expressions, used with
    ``own_tokenizer``. Threads
    would not help, for the work holds the interpreter lock. Not here: ``crop``, which raises on texts of few words;
    TF-IDF, slower than all of these; synonyms, antonyms, embeddings and translation, which need downloads.
    """
    word = _need("nlpaug.augmenter.word", "nlpaug")
    # Every word may give way to one of nine others about as frequent.
    frequent = [found for found, _ in Counter(" ".join(texts).split()).most_common() if found.isalpha()]
    groups = [frequent[start : start + 10] for start in range(0, len(frequent) - 1, 10)]
    options: dict[str, Any] = {"aug_p": share, "aug_max": None}
    if not own_tokenizer:
        options |= {"tokenizer": str.split, "reverse_tokenizer": " ".join}
    augmenters = {
        "swap": word.RandomWordAug("swap", **options),
        "delete": word.RandomWordAug("delete", **options),
        "substitute": word.RandomWordAug("substitute", target_words=["[MASK]"], **options),
        "spelling": word.SpellingAug(**options),
        "split": word.SplitAug(**options),
        "reserved": word.ReservedAug(groups, **options),
    }
    corpus = list(texts)

    def run(augmenter: Any) -> int:
        return sum(len(augmenter.augment(corpus)) for _ in range(copies))

    return {name: partial(run, augmenter) for name, augmenter in augmenters.items()}


def tagged(texts: Sequence[str]) -> tuple[list[list[str]], dict[str, list[str]]]:
    """NLTK's tag of each whitespace word, and every occurrence of the words of each tag."""
    nltk = _need("nltk", "nltk")
    pairs = nltk.pos_tag_sents([text.split() for text in texts])
    pools: dict[str, list[str]] = {}
    for sentence in pairs:
        for word, tag in sentence:
            pools.setdefault(tag, []).append(word)
    return [[tag for _, tag in sentence] for sentence in pairs], pools


def plain_tang(
    texts: Sequence[str],
    tags: Sequence[Sequence[str]],
    pools: Mapping[str, Sequence[str]],
    copies: int,
    seed: int,
    *,
    distinct: bool = True,
) -> list[str]:
    """The rules of Tang et al. 2019 for single sentences as a plain loop: up to ``copies`` rows of each text.

    A word is masked with probability 0.1, else replaced with probability 0.1 by any occurrence of its tag in ``pools``;
    with probability 0.25 only an n-gram of 1 to 5 words remains. ``distinct`` drops rows seen before, the originals
    among them.
    """
    generator = random.Random(seed)
    draw, choice = generator.random, generator.choice
    rows: list[str] = []
    seen = {" ".join(text.split()) for text in texts}
    for text, text_tags in zip(texts, tags, strict=True):
        words = list(zip(text.split(), text_tags, strict=True))
        for _ in range(copies):
            row = []
            for word, tag in words:
                drawn = draw()
                if drawn < 0.1:
                    row.append("[MASK]")
                elif drawn < 0.2:
                    row.append(choice(pools[tag]))
                else:
                    row.append(word)
            if draw() < 0.25:
                length = min(generator.randint(1, 5), len(row))
                start = generator.randint(0, len(row) - length)
                row = row[start : start + length]
            made = " ".join(row)
            if distinct:
                if made in seen:
                    continue
                seen.add(made)
            rows.append(made)
    return rows


def nlpaug_contextual(
    model_dir: Path, texts: Sequence[str], copies: int, batch_sizes: Sequence[int] = (4, 8, 16, 32)
) -> dict[str, Callable[[], int]]:
    """Masked-model substitution by nlpaug at several batch sizes; each run gives the number of sentences it made.

    40 % of the pieces change, drawn from the best 15, on the CPU. As ``n`` is ignored for lists, each text stands
    ``copies`` times in one list. The list is sorted by length, which nlpaug leaves to its user and which pays.
    nlpaug 1.1.11 asks the tokenizer for a private method that transformers 5 no longer has; here it gets the public one
    that it calls on the tokenizers it knows. Nothing else of it is changed.
    """
    word = _need("nlpaug.augmenter.word", "nlpaug")
    language_models = _need("nlpaug.model.lang_models", "nlpaug")
    language_models.Bert.token2id = lambda model, token: model.tokenizer.convert_tokens_to_ids(token)
    augmenter = word.ContextualWordEmbsAug(
        str(model_dir), model_type="bert", action="substitute", aug_p=0.4, aug_max=None, top_k=15, device="cpu"
    )
    rows = [text for text in sorted(texts, key=len) for _ in range(copies)]

    def run(batch_size: int) -> int:
        # All of nlpaug's augmenters of one model share it and its batch size.
        augmenter.model.batch_size = batch_size
        return len(augmenter.augment(rows))

    return {f"batch {size}": partial(run, size) for size in batch_sizes}


def masked_per_word(
    model_dir: Path,
    texts: Sequence[str],
    copies: int,
    p: float = 0.4,
    k: int = 15,
    *,
    seed: int = 0,
    limit: int | None = None,
    eligible: Callable[[str], bool] = str.isalpha,
) -> Callable[[], list[str]]:
    """TinyBERT's augmentation as the paper's pseudo-code reads: one forward pass a word, for every row made.

    Each eligible word of one piece is masked in the row as edited so far and becomes, with probability ``p``, one of
    the best ``k`` at its place; other words stay. The first copies of all texts come first, so that ``limit`` rows are
    a fair sample. (Drawing before the pass would spare the ``1 - p`` that are not used; paper and script do not.)

    Source: Jiao et al. 2020 (arXiv 1909.10351), algorithm 1; without GloVe for words of several pieces.
    """
    filler = _Filler.load(model_dir, k)
    draw = random.Random(seed)

    def reworded(words: list[str]) -> str:
        ids, places = filler.places(words, eligible)
        for place, number in places.items():
            original = ids[0, place].item()
            found = filler.best(ids, place)
            ids[0, place] = draw.choice(found) if found and draw.random() < p else original
            if ids[0, place] != original:
                words[number] = filler.tokenizer.convert_ids_to_tokens(ids[0, place].item())
        return " ".join(words)

    wanted = [text for _ in range(copies) for text in texts][:limit]
    return lambda: [reworded(text.split()) for text in wanted]


def masked_once_per_word(
    model_dir: Path,
    texts: Sequence[str],
    copies: int,
    p: float = 0.4,
    k: int = 15,
    *,
    seed: int = 0,
    eligible: Callable[[str], bool] = str.isalpha,
) -> Callable[[], list[str]]:
    """TinyBERT's augmentation as the published script does it: one forward pass a word of a *text*, then all copies.

    The stronger of the two plain scripts: the candidates of the unedited text serve all of its copies. Unlike the
    published one it keeps no gradients, sorts no vocabulary, and does not show the model the original sentence.
    """
    filler = _Filler.load(model_dir, k)
    draw = random.Random(seed)

    def rows(words: list[str]) -> list[str]:
        ids, places = filler.places(words, eligible)
        table = {}
        for place, number in places.items():
            original = ids[0, place].item()
            table[number] = filler.tokenizer.convert_ids_to_tokens(filler.best(ids, place))
            ids[0, place] = original
        made = []
        for _ in range(copies):
            row = list(words)
            for number, found in table.items():
                if found and draw.random() < p:
                    row[number] = draw.choice(found)
            made.append(" ".join(row))
        return made

    return lambda: [row for text in texts for row in rows(text.split())]


@dataclass(frozen=True)
class _Filler:
    """A masked language model that is asked for one word at a time."""

    tokenizer: Any
    model: Any
    k: int

    @classmethod
    def load(cls, model_dir: Path, k: int) -> _Filler:
        transformers = _need("transformers", "transformers")
        model = transformers.AutoModelForMaskedLM.from_pretrained(model_dir).eval()
        return cls(transformers.AutoTokenizer.from_pretrained(model_dir), model, k)

    def places(self, words: list[str], eligible: Callable[[str], bool]) -> tuple[Any, dict[int, int]]:
        """Token ids (1, T), and which eligible word of one piece stands at which of the T places."""
        encoded = self.tokenizer(words, is_split_into_words=True, truncation=True, return_tensors="pt")
        owners = encoded.word_ids()
        pieces = Counter(owners)
        single = {place: owner for place, owner in enumerate(owners) if owner is not None and pieces[owner] == 1}
        return encoded["input_ids"], {place: owner for place, owner in single.items() if eligible(words[owner])}

    def best(self, ids: Any, place: int) -> list[int]:
        """The ids of the best ``k`` at a place, word endings left out; leaves a mask there."""
        torch = _need("torch", "torch")
        ids[0, place] = self.tokenizer.mask_token_id
        with torch.inference_mode():
            best = self.model(input_ids=ids).logits[0, place].topk(self.k).indices.tolist()
        names = self.tokenizer.convert_ids_to_tokens(best)
        return [number for number, name in zip(best, names, strict=True) if not name.startswith("##")]


def _need(module: str, package: str) -> Any:
    """A peer's module, imported only where it is compared with."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = (
            f"benchmark: {package} must be installed to be compared with: run `pip install {package}`, got: {error}"
        )
        raise StillhouseError(message) from error
