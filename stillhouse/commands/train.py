"""``stillhouse train``: a student from a transfer set and a logit cache."""

from __future__ import annotations

from typing import Any

import click

from students import OWN_FILES, Training, architectures, load_architecture, load_objective, objectives, train
from transferset import TransferSet, open_cache
from transferset.parameters import build

from ._options import dataclass_options, given_parameters, out_options, read_source, replacing, source_options

_STUDENTS = architectures()


@click.command()
@click.argument("transfer")
@click.argument("cache")
@click.option("--student", default="bilstm", show_default=True, help=f"Kind of student: {', '.join(_STUDENTS)}.")
@click.option("--loss", default="mse", show_default=True, help=f"Objective: {', '.join(objectives())}.")
@click.option("--dev", help="Labelled file; the epoch that does best on it is kept.")
@click.option("--label", help="Column of the gold label in the dev file.  [default: as in the transfer set]")
@click.option("--seed", default=0, show_default=True, help="Seed of the weights and of the order of rows.")
@click.option("--threads", type=int, help="Threads of torch.  [default: cores]")
@source_options
@out_options("student")
@dataclass_options({"": Training, **_STUDENTS})
def command(transfer: str, cache: str, student: str, loss: str, out: str, force: bool, **options: Any) -> None:
    """Train a student on TRANSFER with the teacher's logits in CACHE. The teacher itself is not needed.

    \b
    Example:
      stillhouse train T L --student bilstm --dev data/dev.tsv --out S
    """
    import torch

    if options["threads"] is not None:
        torch.set_num_threads(max(1, options["threads"]))
    rows, logits = TransferSet.open(transfer), open_cache(cache)
    kind = _STUDENTS.get(student)
    architecture = load_architecture(student, given_parameters(student, kind, options) if kind else {})
    training = build(Training, given_parameters("", Training, options), "train")
    dev = options["dev"]
    source = read_source(dev, options["quote"], options["no_header"], options["encoding"]) if dev else None
    objective = load_objective(loss)
    with replacing(out, force, OWN_FILES.__contains__):
        _, metrics = train(
            rows,
            logits,
            architecture,
            objective,
            out,
            training,
            options["seed"],
            source,
            options["label"],
            progress=True,
        )
    best = metrics["history"][metrics["best_epoch"] - 1]
    figures = ", ".join(f"{name} {value:.4f}" for name, value in best.items() if name != "epoch")
    click.echo(f"{out}: {student}, epoch {metrics['best_epoch']} of {len(metrics['history'])}: {figures}")
