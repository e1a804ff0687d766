"""Speed of the augmenters beside their peers, side by side in one run: one JSON line a figure, medians of rounds.

    python benchmarks/speed.py tang --shared ../shared
    python benchmarks/speed.py mlm --shared ../shared
    python benchmarks/speed.py vectors
    python benchmarks/speed.py munge --shared ../shared
    python benchmarks/speed.py scale --shared ../shared --out /tmp/scale

``tang`` and ``mlm`` need nlpaug (``pip install nlpaug==1.1.11``). Rounds are interleaved: every side once, then every
side again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from _peers_table import literal_munge, plain_munge
from _peers_text import masked_once_per_word, masked_per_word, nlpaug_contextual, nlpaug_words, plain_tang, tagged

from augment import Mlm, Munge, augment, augment_file, load_recipe, preview
from augment.memory import _corpus, _each_block
from augment.vectors import nearest_rows
from transferset import Source, Task
from transferset.in_memory import InMemory

ROOT = Path(__file__).parent.parent
#: Gives the number of rows made.
Side = Callable[[], int]


def main() -> None:
    """Runs one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tang", "mlm", "vectors", "munge", "scale"])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, default=None, help="a directory for scale")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    os.environ.setdefault("NLTK_DATA", str((given.shared / "nltk_data").resolve()))
    globals()[given.what](given)


def tang(given: argparse.Namespace) -> None:
    """The three Tang rules on the SST-2 train file, 20 copies, against word augmenters of nlpaug and a plain loop."""
    source = given.shared / "data" / "sst2" / "train.tsv"
    texts = pa.chunked_array([batch.column(0) for batch in Source(source).batches(["sentence"])]).combine_chunks()
    listed = texts.to_pylist()
    sides: dict[str, Side] = {}
    for share, own in ((0.3, True), (0.2, False)):
        made = nlpaug_words(listed[:10_000], share=share, own_tokenizer=own)
        fastest = compare(made, rounds=2, quiet=True)[0]
        sides[f"nlpaug {fastest}, {'as it comes' if own else 'tuned'}"] = made[fastest]
    tags, pools = tagged(listed)
    sides["plain loop, tagged before, duplicates and all"] = lambda: (
        len(plain_tang(listed, tags, pools, 20, 0, distinct=False)) and 20 * len(listed)
    )
    sides["plain loop, tagged before, distinct"] = lambda: (
        len(plain_tang(listed, tags, pools, 20, 0)) and 20 * len(listed)
    )
    recipe = load_recipe("tang2019")
    corpus = _corpus(InMemory.of(texts, "text"), Task("text", ("text",)), recipe, 20, None)
    plan = recipe.fitted(corpus, 20, 0)
    sides["texts, tagged before"] = lambda: sum(map(len, _each_block(corpus, lambda i: plan.texts(corpus, i, 20))))
    sides["texts (preview), tagging included"] = lambda: len(preview(texts, recipe, 20))
    sides["table with edits, distinct (augment), tagging included"] = lambda: (
        len(augment(texts, recipe, 20)) and 20 * len(texts)
    )
    for workers in (1, 2):
        sides[f"Parquet, {workers} worker(s), tagging included"] = lambda workers=workers: (
            to_parquet(source, workers) and 20 * len(texts)
        )
    compare(sides, given.rounds)


def to_parquet(source: Path, workers: int) -> int:
    """The transfer set of SST-2 as files."""
    with tempfile.TemporaryDirectory() as folder:
        task = Task("text", ("sentence",), "label")
        return augment_file(Source(source), task, Path(folder) / "T", copies=20, workers=workers).rows()


def mlm(given: argparse.Namespace) -> None:
    """Masked-LM substitution, 500 texts, 20 copies; scripts are timed on samples, for each row costs them the same."""
    model = given.shared / "models" / "minilm-l6-mlm"
    source = Source(given.shared / "data" / "sst2" / "train.tsv")
    texts = next(iter(source.batches(["sentence"]))).column(0)[:500].to_pylist()
    step = Mlm(model=str(model))
    sides: dict[str, Side] = {}
    contextual = nlpaug_contextual(model, texts, 1)
    fastest = compare(contextual, rounds=1, quiet=True)[0]
    sides[f"nlpaug contextual, batch {fastest}"] = contextual[fastest]
    per_word = masked_per_word(model, texts, 20, limit=60)
    sides["a masked forward a word, per output row"] = lambda: len(per_word())
    once = masked_once_per_word(model, texts[:100], 20)
    sides["a masked forward a word, per text"] = lambda: len(once())
    for context in ("masked", "grouped", "unmasked", "with_original"):
        made = Mlm(model=str(model), context=context)
        sides[f"mlm {context}"] = lambda made=made: len(preview(texts, [made], 20))
    with tempfile.TemporaryDirectory() as folder:
        augment(texts, [step], 1, candidates=folder)
        sides["mlm masked, candidates kept from a run before"] = lambda: (
            len(augment(texts, [step], 20, seed=1, candidates=folder)) and 20 * len(texts)
        )
        compare(sides, given.rounds)


def vectors(given: argparse.Namespace) -> None:
    """The 15 nearest of 100,000 words of 300 dimensions, for 20,000 words."""
    table = np.random.default_rng(0).normal(size=(100_000, 300)).astype(np.float32)
    own = np.arange(20_000)
    compare({"neighbours of 20,000 words": lambda: len(nearest_rows(table[own], table, own, 15))}, min(3, given.rounds))


def munge(given: argparse.Namespace) -> None:
    """MUNGE of Letter, k = 10, against the pseudo-code written plainly; the plain ones are timed on samples."""
    source = Source(given.shared / "data" / "letter" / "letter.tsv")
    names = [name for name in source.columns() if name != "letter"]
    table = pa.Table.from_batches(source.batches(names))
    table = pa.table({name: table[name].cast(pa.int64()) for name in names})
    rows = list(zip(*table.to_pydict().values(), strict=True))
    kinds = ["continuous"] * len(names)

    def plain(limit: int) -> int:
        plain_munge(rows, kinds, 1, 0.5, 3.0, 0, limit=limit)
        return limit

    def literal(limit: int) -> int:
        literal_munge(rows, kinds, 1, 0.5, 3.0, 0, limit=limit)
        return limit

    sides: dict[str, Side] = {
        "pseudo-code in plain Python": lambda: literal(10),
        "pseudo-code with a compiled scan (cdist)": lambda: plain(2000),
        "munge, texts of edits and all (augment)": lambda: len(augment(table, [Munge()], 10)) and 10 * len(table),
    }
    compare(sides, given.rounds)


def scale(given: argparse.Namespace) -> None:
    """Ten million output rows from SST-2: memory, two workers against one, and the same bytes."""
    source = given.shared / "data" / "sst2" / "train.tsv"
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(given.rounds):
        for workers, taken in seconds.items():
            out = given.out / f"{workers}"
            shutil.rmtree(out, ignore_errors=True)
            options = ("--text", "sentence", "--label", "label", "--copies", 170, "--workers", workers, "--out", out)
            command = [sys.executable, "-m", "stillhouse", "augment", source, *options]
            started = time.monotonic()
            process = subprocess.Popen([str(each) for each in command], cwd=ROOT, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            taken.append(time.monotonic() - started)
            figures = {"workers": workers, "seconds": round(taken[-1], 1), "status": status}
            print(json.dumps({**figures, "round": number, "gib": round(usage.ru_maxrss / 2**20, 2)}), flush=True)
        same = subprocess.run(["diff", "-r", given.out / "1", given.out / "2"], capture_output=True, check=False)
        print(json.dumps({"same bytes": same.returncode == 0}), flush=True)
    ratio = statistics.median(seconds[1]) / statistics.median(seconds[2])
    print(json.dumps({"one worker over two": round(ratio, 2)}))


def compare(sides: dict[str, Side], rounds: int, quiet: bool = False) -> list[str]:
    """Every side in turn, several times; its median rate, and how often the fastest of the others it makes.

    Returns the names of the sides, the fastest first.
    """
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            started = time.perf_counter()
            rows = side()
            if number or rounds == 1:  # the first round warms up
                rates[name].append(rows / (time.perf_counter() - started))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    first = next(iter(medians.values()))
    if not quiet:
        for name, rate in medians.items():
            spread = [round(min(rates[name])), round(max(rates[name]))]
            print(
                json.dumps(
                    {"side": name, "rows/s": round(rate), "range": spread, "times the first": round(rate / first, 2)}
                )
            )
    return sorted(medians, key=lambda name: -medians[name])


if __name__ == "__main__":
    main()
