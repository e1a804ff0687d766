"""What each augmenter is worth on SST-2: the BiLSTM's accuracy for each alone and for the recipes.

    python benchmarks/augmenters.py --shared ../shared --out /tmp/augmenters --seeds 0 1 2

Every transfer set has the same number of rows: all originals and equally many augmented rows, drawn by their keys
from those of four copies (of sixteen for n-grams alone). All are labelled into one cache by the real teacher and train
the same student. One JSON line each; what is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from augment import InSequence, Mask, Mlm, Ngram, Pos, Recipe, Vectors, augment_file, load_recipe
from transferset import Source, Store, Task, TransferSet, keys_from_arrow
from transferset.transfer_set import KIND

ROOT = Path(__file__).parent.parent
COPIES = 4


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", help="names of recipes")
    given = parser.parse_args()
    os.environ.setdefault("NLTK_DATA", str((given.shared / "nltk_data").resolve()))
    found = {
        recipe.name: [accuracy(given, recipe, seed) for seed in given.seeds]
        for recipe in recipes(str((given.shared / "models" / "minilm-l6-mlm").resolve()))
        if not given.only or recipe.name in given.only
    }
    for name, scores in found.items():
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        print(json.dumps({"recipe": name, "accuracies": scores, "mean": statistics.mean(scores), "sd": spread}))


def recipes(model: str) -> list[Recipe]:
    """The originals alone, each augmenter alone with its rate in the recipes, and the recipes."""
    published = {
        name: load_recipe(name).adjusted(changes)
        for name, changes in {
            "tang2019": {},
            "dbert": {},
            "tinybert": {"mlm": {"model": model}, "vectors": {"source": model}},
        }.items()
    }
    alone = [Mask(), Pos(), Ngram(), Mlm(model=model), Vectors(source=model)]
    names = ["mask", "pos", "ngram", "mlm", "vectors"]
    single = [
        Recipe(name, (step,), protect=published["tinybert"].protect if name in ("mlm", "vectors") else ())
        for name, step in zip(names, alone, strict=True)
    ]
    both = InSequence((*published["tang2019"].steps,), probability=0.5)
    mixed = Recipe("tang2019+tinybert", (*published["tinybert"].steps, both), protect=published["tinybert"].protect)
    return [Recipe("originals", ()), *single, *published.values(), mixed]


def accuracy(given: argparse.Namespace, recipe: Recipe, seed: int) -> float:
    """The share of test.tsv that the student trained on a recipe's transfer set decides rightly."""
    data, out = given.shared / "data" / "sst2", given.out
    transfer = out / f"T-{recipe.name}"
    if not transfer.exists():
        make(recipe, data / "train.tsv", transfer, out)
    run("label", transfer, "--teacher", given.shared / "models" / "minilm-l6-sst2", "--out", out / "L")
    student = out / f"S-{recipe.name}-{seed}"
    options = ("--student", "bilstm", "--dev", data / "dev.tsv", "--seed", seed, "--out", student)
    run("train", transfer, out / "L", *options)
    scores = json.loads(run("evaluate", student, data / "test.tsv", "--json"))
    print(json.dumps({"recipe": recipe.name, "seed": seed, **scores}), flush=True)
    return float(scores["accuracy"])


def make(recipe: Recipe, source: Path, transfer: Path, out: Path) -> None:
    """The transfer set of a recipe, cut down to as many augmented rows as originals."""
    task = Task("text", ("sentence",), "label")
    # An n-gram is cut of every fourth copy only.
    copies = COPIES * (4 if recipe.name == "ngram" else 1) if recipe.steps else 0
    whole = out / "whole" / recipe.name
    store = augment_file(
        Source(source), task, whole, recipe, copies, workers=2, candidates=out / "candidates", progress=True
    )
    table = pa.concat_tables(TransferSet(store).tables())
    augmented = np.flatnonzero(table["copy"].to_numpy() > 0)
    originals = np.flatnonzero(table["copy"].to_numpy() == 0)
    if len(augmented) < len(originals) and copies:
        sys.exit(f"{recipe.name}: too few copies for equal numbers: {len(augmented)}")
    # Keys are hashes: the smallest are a random sample.
    by_key = np.argsort(keys_from_arrow(table["key"])[augmented, 0])
    chosen = np.sort(np.concatenate([originals, augmented[by_key[: len(originals)]]]))
    print(json.dumps({"recipe": recipe.name, "rows": len(chosen), "of": len(table)}), flush=True)
    Store.create(transfer, KIND, {**store.about, "parts": 1}, {}).commit(table.take(pa.array(chosen)), {}, slot=0)


def run(name: str, *arguments: object) -> str:
    """A command of stillhouse; what it printed comes back."""
    command = [sys.executable, "-m", "stillhouse", name, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
