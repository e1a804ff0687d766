"""What the fuzz starts from: small files that every reader takes, and all that the commands make of them.

Everything is made by the commands themselves, so what is mutated afterwards is what a user would have.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

#: Runs a command in a folder in a process of its own, and raises where it fails.
Run = Callable[[Sequence[str], Path], None]

TEXTS = [
    f"{first} {second}, and {third}."
    for first, second, third in zip(
        ["a good film", "a bad film", "the plot is dull", "never slow", "so funny", "it was awful"] * 2,
        ["great acting", "no story", "very fine", "not bad", "this movie", "with a plot"] * 2,
        ["good", "awful", "slow", "fine", "great", "dull", "one", "two", "three", "four", "five", "six"],
        strict=True,
    )
]
WORDS = ("film", "good", "bad", "great", "dull", "fine", "slow", "funny", "movie", "plot")
LABELS = ["pos", "neg", "neg", "pos", "pos", "neg"] * 2
MASK = 'copies = 2\nprotect = ["film", "/[0-9]+/"]\n\n[[step]]\nuse = "mask"\nrate = 0.4\n'
MIXED = (
    'description = "two ways"\ncopies = 2\npairs = "draw"\npair_copies = 1\n\n[[step]]\nprobability = 0.5\n'
    'one_of = [{use = "mask", weight = 2}, {in_sequence = [{use = "ngram"}, {use = "mask", rate = 0.2}]}]\n'
)
GRID = (
    'loss = "mse"\nepochs = 1\nvectors = "random"\n\n[[grid]]\nstudent = "bag"\nhidden = [4, 5]\n'
    "vector-width = 4\nseed = 0\n"
)
RANGES = (
    'student = ["bag"]\nepochs = 1\nvectors = "random"\nvector_width = 4\nhidden = {low = 2, high = 4}\n'
    "learning-rate = {low = 1e-4, high = 1e-2, log = true}\n"
)
#: Functions for ``python:``: two that are sound, and some that are not.
RULES = """
import math


def score(rows):
    return [[len(str(row)) % 7, str(row).count("o")] for row in rows]


def other(rows):
    return [[str(row).count("a"), len(str(row)) % 5] for row in rows]


def signals(rows):
    return {"logits": score(rows), "embedding": [[1.0, 2.0, float(len(str(row)))] for row in rows]}


def nan(rows):
    return [[math.nan, 1.0] for row in rows]


def narrow(rows):
    return [[1.0] for row in rows]


def short(rows):
    return score(rows)[1:]


def late(rows):
    return score(rows) if len(rows) < 3 else [[math.inf, 0.0] for row in rows]


def words(rows):
    return [["a", "b"] for row in rows]


def nothing(rows):
    return None


def broken(rows):
    raise RuntimeError("two\\nlines \\x1b[31m of it")


def leaves(rows):
    raise SystemExit(3)


def deep(rows):
    return deep(rows)


constant = 3
"""
CHAIN = """
out = "made"

[augment]
source = "films.csv"
text = "text"
label = "label"
recipe = "mask.toml"
workers = 1

[label]
teacher = "python:rules:score"

[[train]]
student = "bag"
vectors = "random"
epochs = 1
vector-width = 4
hidden = 4
dev = "films.csv"

[evaluate]
file = "films.csv"
resamples = 5
"""
SMALL = ("--epochs", "1", "--vectors", "random", "--vector-width", "4", "--hidden", "4", "--threads", "1")


def make_inputs(folder: Path, run: Run, exports: bool = True) -> None:
    """Fills a folder; ``exports`` says whether the ONNX files are made too, which takes seconds."""
    folder.mkdir(parents=True)
    _tables(folder)
    (folder / "mask.toml").write_text(MASK)
    (folder / "mixed.toml").write_text(MIXED)
    (folder / "grid.toml").write_text(GRID)
    (folder / "ranges.toml").write_text(RANGES)
    (folder / "chain.toml").write_text(CHAIN)
    (folder / "rules.py").write_text(RULES)
    (folder / "glove.txt").write_text("".join(f"{word} {n} {n % 3} {n % 5}\n" for n, word in enumerate(WORDS)))
    texts = ("--text", "text", "--label", "label", "--recipe", "mask.toml", "--workers", "1")
    commands = [
        ("augment", "films.csv", *texts, "--out", "T"),
        ("augment", "pairs.csv", "--text", "one", "--text-pair", "two", *texts[2:], "--out", "P"),
        ("augment", "people.csv", "--features", "all", "--label", "label", "--copies", "2", "--out", "F"),
        ("label", "T", "--teacher", "python:rules:score", "--out", "L"),
        ("label", "P", "--teacher", "python:rules:score", "--out", "LP"),
        ("label", "F", "--teacher", "python:rules:score", "--out", "LF"),
        ("label", "T", "--teacher", "python:rules:signals", "--signals", "logits,embedding", "--out", "LE"),
        ("label", "T", "--teacher", "python:rules:score", "--teacher", "python:rules:other", "--out", "E"),
        ("label", "T", "--teacher", "teacher", "--dtype", "float32", "--out", "LT"),
        ("train", "T", "L", "--student", "bag", *SMALL, "--out", "S"),
        ("train", "T", "LT", "--student", "bilstm", *SMALL, "--width", "4", "--tokens", "pieces", "--out", "SP"),
        ("train", "F", "LF", "--student", "mlp", "--epochs", "1", "--width", "4", "--out", "SM"),
        ("train", "T", "LE", "--student", "bag", "--loss", "cosine", *SMALL, "--out", "SE"),
        ("sweep", "T", "L", "--grid", "grid.toml", "--dev", "films.csv", "--workers", "1", "--out", "R"),
        ("INTERRUPTED", "train", "T", "L", "--student", "bag", *SMALL[2:], "--epochs", "3", "--out", "K"),
    ]  # fmt: skip
    if exports:
        commands += [("export", "S", "--onnx", "S.onnx"), ("export", "SM", "--onnx", "SM.onnx")]
    run(("TEACHERS",), folder)
    for command in commands:
        run(command, folder)
    shutil.copytree(folder / "T", folder / "U")  # one that is not finished
    (folder / "U" / "_manifest" / "000000.json").unlink()


def make_teachers(folder: Path) -> None:
    """A two-layer transformer, and a classifier of features as a skops file."""
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from tiny_classifiers import save_classifier

    save_classifier("bert", folder / "teacher")
    rows = [[size, count] for size in (0.5, 1.5, 2.5) for count in (1, 2)]
    skops.io.dump(LogisticRegression().fit(rows, ["neg", "pos"] * 3), folder / "people.skops")


def interrupted(main: Callable[[], object]) -> None:
    """Runs training as if Ctrl-C were pressed in its second epoch."""
    from students._run import Run as Training

    train = Training.train_epoch

    def stop(self: Training, *given: object) -> None:
        if self.epoch:
            raise KeyboardInterrupt
        train(self, *given)  # type: ignore[arg-type]

    with mock.patch.object(Training, "train_epoch", stop):
        main()


def _tables(folder: Path) -> None:
    """The same rows in every format, pairs, features; and sound Parquet files of types that no text file has."""
    texts = pa.table({"text": TEXTS, "label": LABELS, "id": range(len(TEXTS))})
    rows = texts.to_pylist()
    for name, separator in (("films.csv", ","), ("films.tsv", "\t")):
        cells = [
            [f'"{row["text"]}"' if separator == "," else row["text"], row["label"], str(row["id"])] for row in rows
        ]
        lines = [separator.join(each) for each in (["text", "label", "id"], *cells)]
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "films.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "films.txt").write_text("".join(f"{row['text']}\n" for row in rows))
    pairs = [f'"{one}","{two}",{label}' for one, two, label in zip(TEXTS, TEXTS[::-1], LABELS, strict=True)]
    (folder / "pairs.csv").write_text("\n".join(["one,two,label", *pairs]) + "\n")
    people = [f"{1.5 + n / 8},{n % 5},{'rgb'[n % 3]},{label}" for n, label in enumerate(LABELS)]
    (folder / "people.csv").write_text("\n".join(["size,count,kind,label", *people]) + "\n")
    objects = [dict(zip(("size", "count", "kind"), line.split(",")[:3], strict=True)) for line in people]
    objects = [{**each, "size": float(each["size"]), "count": int(each["count"])} for each in objects]
    (folder / "people.jsonl").write_text("".join(json.dumps(each) + "\n" for each in objects))
    pq.write_table(texts, folder / "films.parquet")
    for name, table in _odd_tables(texts).items():
        pq.write_table(table, folder / f"odd-{name}.parquet")
    (folder / "parts").mkdir()
    pq.write_table(texts.slice(0, 6), folder / "parts" / "a.parquet")
    pq.write_table(texts.slice(6), folder / "parts" / "b.parquet")


def _odd_tables(texts: pa.Table) -> dict[str, pa.Table]:
    many = len(texts)
    return {
        "empty": texts.slice(0, 0), "no-columns": pa.table({}),
        "nulls": pa.table({"text": pa.nulls(many), "label": pa.nulls(many)}),
        "null-text": pa.table({"text": [*TEXTS[1:], None], "label": LABELS}),
        "binary": pa.table({"text": [text.encode() + b"\xff" for text in TEXTS], "label": LABELS}),
        "bad-utf8": pa.table({"text": pa.array([b"\xff\xfe"] * many, pa.binary()).view(pa.string()), "label": LABELS}),
        "large": pa.table({"text": pa.array(TEXTS, pa.large_string()), "label": pa.array(range(many), pa.uint64())}),
        "dictionary": texts.set_column(0, "text", texts["text"].dictionary_encode()),
        "lists": pa.table({"text": [[text] for text in TEXTS], "label": [[label] for label in LABELS]}),
        "structs": pa.table({"text": [{"a": text} for text in TEXTS], "label": [{"b": 1}] * many}),
        "numbers": pa.table({"text": pa.array(range(many), pa.float32()), "label": [float("nan")] * many}),
        "times": pa.table({"text": pa.array(range(many), pa.timestamp("ns")), "label": LABELS}),
        "decimals": pa.table({"text": TEXTS, "label": pa.array(range(many)).cast(pa.decimal128(38, 5))}),
        "maps": pa.table({"text": TEXTS, "label": pa.array([[("a", 1)]] * many, pa.map_(pa.string(), pa.int64()))}),
        "half": pa.table({"text": TEXTS, "label": pa.array([0.5] * many, pa.float16())}),
        "added": texts.rename_columns(["key", "edits", "source"]),
        "same-names": pa.Table.from_arrays([texts["text"], texts["label"]], names=["text", "text"]),
        "no-names": pa.Table.from_arrays([texts["text"], texts["label"]], names=["", "\n"]),
    }  # fmt: skip
