"""What many tests need: real data where it is there, a tiny teacher, a small labelled file, and a command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import Any

# Tests run side by side, a process a core: with more threads each, they would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pytest

import augment
from augment._block import Block, Draft
from augment._corpus import Corpus
from augment._render import edit_lists, texts
from augment._rows import all_copies
from transferset import Task

ROOT = Path(__file__).parent.parent
WORDS = [
    "a",
    "the",
    "film",
    "movie",
    "plot",
    "acting",
    "is",
    "was",
    "not",
    "never",
    "good",
    "great",
    "fine",
    "bad",
    "dull",
    "awful",
    "funny",
    "slow",
    "and",
    "but",
    "very",
    "so",
    "this",
    "it",
    "story",
    "of",
    "with",
    "no",
    ".",
    ",",
    "!",
]


def corpus_of(texts, whole=()) -> Corpus:
    """Single texts as a corpus of one block."""
    table = pa.table({"text": pa.array(texts, pa.string()), "source": np.arange(len(texts))})
    return Corpus.in_memory(Task("text", ("text",)), [table], whole=whole)


def preview(texts, recipe="tang2019", copies=1, seed=0) -> list[str]:
    """Augmented copies of texts, as a list."""
    return augment.preview(texts, recipe, copies, seed).to_pylist()


def draft_of(block: Block, copies: int, seed: int) -> Draft:
    """All copies of all texts of a block, unedited."""
    return Draft.of(block, *all_copies(block.rows, copies), seed)


def rendered(draft: Draft, rows=None) -> tuple[pa.Array, pa.Array]:
    """The texts and the edits of rows of a draft of single texts."""
    rows = np.arange(len(draft.text)) if rows is None else rows
    return texts(draft, rows, draft.text[rows])[0], edit_lists(draft, rows)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and models; tests that need it are skipped where it is missing."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("real data: ../shared is not here")
    os.environ.setdefault("NLTK_DATA", str(folder / "nltk_data"))
    return folder


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT classifier over 30 words with random weights, two classes, at most 32 tokens."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("teacher")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS])}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=32)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=2,
        initializer_range=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_masked_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT masked language model with random weights, at most 32 tokens: the 30 words, the digits, a few
    letters, and what makes words of several pieces (``films``, ``w42``)."""
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    folder = tmp_path_factory.mktemp("masked-lm")
    digits = [str(digit) for digit in range(10)]
    pieces = ["##s", "##ing", "w", *digits, *(f"##{digit}" for digit in digits)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS, *pieces])}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=32)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=1.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


#: Masked language models of these kinds, whose tokenizers differ in all that matters to a word.
MASKED_LMS = ("bert", "distilbert", "roberta", "deberta", "deberta-v2")
_CASED = [*WORDS, "The", "Film", "FILM", "films", "café"]


@pytest.fixture(scope="session")
def masked_lms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One-layer masked language models with random weights, at most 100 tokens, by kind.

    BERT and DistilBERT have lower-case words and pieces after ``##``, RoBERTa and DeBERTa bytes with the space before a
    word, DeBERTa-v2 the pieces of a unigram model.
    """
    import torch
    import transformers

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    relative = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0}
    own: dict[str, tuple[str, dict[str, Any]]] = {
        "bert": ("Bert", small),
        "distilbert": ("DistilBert", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
        "roberta": ("Roberta", {**small, "type_vocab_size": 1, "bos_token_id": 0, "eos_token_id": 2}),
        "deberta": ("Deberta", {**small, **relative}),
        "deberta-v2": ("DebertaV2", {**small, **relative, "position_buckets": 8, "share_att_key": True}),
    }
    folders = {}
    for kind in MASKED_LMS:
        name, sizes = own[kind]
        tokenizer = _tokenizer_of(kind)
        # Some entries of the table belong to no piece, as in models whose tables were rounded up.
        sizes = {**sizes, "vocab_size": len(tokenizer) + 5, "pad_token_id": tokenizer.pad_token_id}
        config = getattr(transformers, f"{name}Config")(**sizes, max_position_embeddings=100, initializer_range=1.0)
        folders[kind] = tmp_path_factory.mktemp(kind)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            getattr(transformers, f"{name}ForMaskedLM")(config).save_pretrained(folders[kind])
        tokenizer.save_pretrained(folders[kind])
    return folders


def _tokenizer_of(kind: str) -> Any:
    import transformers

    if kind in ("bert", "distilbert"):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        letters = [*ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
        pieces = dict.fromkeys([*special, *WORDS, *letters, "films", "##ing", "cafe", "很"])
        made = transformers.BertTokenizer if kind == "bert" else transformers.DistilBertTokenizer
        return made(vocab={piece: place for place, piece in enumerate(pieces)}, do_lower_case=True)
    if kind == "deberta-v2":
        scores = [(piece, 0.0) for piece in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")]
        scores += [(f"\u2581{word}", -3.0) for word in _CASED if word.isalpha()] + [("\u2581", -5.0), ("s", -5.0)]
        scores += [(letter, -9.0) for letter in f"{ascii_lowercase}.,!\"'很" if letter != "s"]
        return transformers.DebertaV2Tokenizer(vocab=scores, unk_id=3)
    roberta = kind == "roberta"
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if roberta else ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
    vocabulary, merges = _byte_pairs(special)
    made = transformers.RobertaTokenizer if roberta else transformers.DebertaTokenizer
    return made(vocab=vocabulary, merges=merges)


def _byte_pairs(special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Byte pairs of which the words, with and without a space before them, are single pieces."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=1,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" " + " ".join(_CASED), "film", "great", "x"], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: networks as small as those of the tests are only slowed down by more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written and not forced to the disk: where no power is lost, nobody need wait for it."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="session")
def labelled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 short texts of the teacher's words with the labels neg and pos: a csv with the columns text, label."""
    import numpy as np

    random = np.random.default_rng(0)
    lines = ["text,label"]
    for _ in range(200):
        words = random.choice([word for word in WORDS if word.isalpha()], random.integers(2, 12))
        score = sum(word in ("good", "great", "fine", "funny") for word in words) - sum(
            word in ("bad", "dull", "awful", "slow") for word in words
        )
        lines.append(f"{' '.join(words)},{'pos' if score > 0 else 'neg'}")
    path = tmp_path_factory.mktemp("data") / "films.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def stillhouse(*arguments: object, stdin: str | bytes = "", **options: object) -> subprocess.CompletedProcess[bytes]:
    """Runs the command line in a process of its own."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [sys.executable, "-m", "stillhouse", *map(str, arguments)],
        input=given,
        capture_output=True,
        timeout=300,
        check=False,
        cwd=options.pop("cwd", None),  # type: ignore[call-overload]
        env={**os.environ, "PYTHONPATH": str(ROOT), **options},  # type: ignore[dict-item]
    )


def one_line_error(done: subprocess.CompletedProcess[bytes]) -> str:
    """The error of a run that must have failed the way the house wants: status 2, one line after any progress."""
    lines = [line for line in done.stderr.decode().replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("stillhouse: ")]
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr.decode()
    assert len(errors) == 1, lines
    assert lines[-1] == errors[0], lines
    return errors[0]
