"""``stillhouse train``: a student from a transfer set and a logit cache."""

from __future__ import annotations

from typing import Any

import click

from students import Reading, Training, architectures, load_architecture, load_objective, objectives, own_names, train
from transferset import TransferSet, open_cache
from transferset.parameters import build, check_owned, parameters

from ._options import (
    dataclass_options,
    given_parameters,
    kinds_options,
    out_options,
    read_source,
    source_options,
)
from ._replacing import replacing

_STUDENTS = {name: parameters(cls) for name, cls in architectures().items()}
_LOSSES = {name: parameters(cls) for name, cls in objectives().items()}


@click.command()
@click.argument("transfer")
@click.argument("cache")
@click.option("--student", default="bilstm", show_default=True, help=f"Kind of student: {', '.join(_STUDENTS)}.")
@click.option("--loss", default="mse", show_default=True, help=f"Objective: {', '.join(_LOSSES)}.")
@click.option("--dev", help="Labelled file; the epoch that does best on it is kept.")
@click.option("--label", help="Column of the gold label in the dev file.  [default: as in the transfer set]")
@click.option("--seed", default=0, show_default=True, help="Seed of the weights and of the order of rows.")
@click.option("--threads", type=click.IntRange(1), help="Threads of torch.  [default: cores; of tables 1]")
@source_options
@out_options("student")
@kinds_options(_STUDENTS)
@kinds_options(_LOSSES)
@dataclass_options({"": Training})
@dataclass_options({"": Reading})
def command(transfer: str, cache: str, student: str, loss: str, out: str, force: bool, **options: Any) -> None:
    """Train a student on TRANSFER with the teacher's signals in CACHE. The teacher itself is not needed.

    An interrupted run goes on with the same command, and ends in the same weights.

    \b
    Examples:
      stillhouse train T L --student bilstm --dev data/dev.tsv --out S
      stillhouse train T L --student bag --loss kl --temperature 3 --alpha 0.1 --out S
      stillhouse train T L --student bilstm --holdout 0.05 --epochs 30 --patience 3 --out S
      stillhouse train T L --student bag --loss cosine --out S
    """
    import torch

    rows, logits = TransferSet.open(transfer), open_cache(cache)
    threads = options["threads"] or (1 if rows.task.kind == "features" else None)
    if threads is not None:
        torch.set_num_threads(threads)
    architecture = load_architecture(student, _own(student, _STUDENTS, options, "student"))
    objective = load_objective(loss, _own(loss, _LOSSES, options, "loss"))
    training = build(Training, given_parameters("", Training, options), "train")
    reading = build(Reading, given_parameters("", Reading, options), "train")
    dev = options["dev"]
    source = read_source(dev, options["quote"], options["no_header"], options["encoding"]) if dev else None

    def work(place: str) -> dict[str, Any]:
        _, metrics = train(
            rows,
            logits,
            architecture,
            objective,
            place,
            training,
            reading,
            options["seed"],
            source,
            options["label"],
            progress=True,
        )
        return metrics

    metrics = replacing(out, force, own_names(out).__contains__, work)
    best = metrics["history"][metrics["best_epoch"] - 1]
    figures = ", ".join(f"{name} {value:.4f}" for name, value in best.items() if name != "epoch")
    click.echo(f"{out}: {student}, epoch {metrics['best_epoch']} of {len(metrics['history'])}: {figures}")


def _own(kind: str, kinds: dict[str, Any], options: dict[str, Any], what: str) -> dict[str, Any]:
    """The options given that are of a kind of student or objective; those of another kind are refused."""
    names = {each.name for having in kinds.values() for each in having}
    given = {name: value for name, value in options.items() if name in names and value is not None}
    if kind in kinds:
        check_owned(given, [kind], kinds, what)
    return given
