"""What many tests need: real data where it is there, a tiny teacher, a small labelled file, and a command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: networks as small as those of the tests are only slowed down by more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
