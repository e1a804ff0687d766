"""The main job on SST-2: augment, label, train and evaluate, one JSON line each with seconds, peak memory and scores.

    python benchmarks/chain.py --shared ../shared --out /tmp/chain --seeds 0 1 2

The peak is that of the largest process of the stage. Stages that are done already are not run again, so time only a
fresh ``--out``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Runs the chain and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="options for `stillhouse train`, last")
    given = parser.parse_args()
    data, out = given.shared / "data" / "sst2", given.out
    os.environ.setdefault("NLTK_DATA", str((given.shared / "nltk_data").resolve()))
    recipe = ("--recipe", "tang2019", "--copies", given.copies, "--seed", 0)
    stage("augment", data / "train.tsv", "--text", "sentence", "--label", "label", *recipe, "--out", out / "T")
    stage("label", out / "T", "--teacher", given.shared / "models" / "minilm-l6-sst2", "--out", out / "L")
    found: dict[str, list[float]] = {"mse": [], "gold": []}
    for loss, seed in ((loss, seed) for loss in found for seed in given.seeds):
        student = out / f"{loss}-{seed}"
        options = ("--student", "bilstm", "--loss", loss, "--dev", data / "dev.tsv", "--seed", seed, *given.train)
        stage("train", out / "T", out / "L", *options, "--out", student)
        scores = json.loads(stage("evaluate", student, data / "test.tsv", "--json"))
        found[loss].append(scores["accuracy"])
    for loss, accuracies in found.items():
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        print(json.dumps({"loss": loss, "accuracies": accuracies, "mean": statistics.mean(accuracies), "sd": spread}))


def stage(name: str, *arguments: object) -> str:
    """One command of the chain; its figures go to stdout, what it printed comes back."""
    started = time.monotonic()
    command = [sys.executable, "-m", "stillhouse", name, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    printed = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} ended with status {status}")
    figures = {"stage": name, "seconds": round(time.monotonic() - started, 1), "gib": round(usage.ru_maxrss / 2**20, 2)}
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(json.dumps({**figures, "gib_largest_so_far": round(children, 2), "printed": printed.strip()}), flush=True)
    return printed


if __name__ == "__main__":
    main()
