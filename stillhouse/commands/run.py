"""``stillhouse run``: a whole chain from one file."""

from __future__ import annotations

import click

from stillhouse.pipeline import Step, load_pipeline, plan
from stillhouse.pipeline import run as run_pipeline


@click.command()
@click.argument("pipeline")
@click.option("--dry-run", is_flag=True, help="Say what would run, and why, and do nothing.")
def command(pipeline: str, dry_run: bool) -> None:
    """Run the stages that the TOML file PIPELINE describes, each only where something changed.

    A section is a command and its keys are the command's options; paths are relative to the file. `stillhouse init`
    writes such a file for data of yours. An interrupted run goes on with the same command.

    \b
    Example: a file films.toml
      [augment]
      source = "train.tsv"
      text = "sentence"
      label = "label"
      [label]
      teacher = "./my-bert"
      [train]
      student = "bilstm"
      dev = "dev.tsv"
      [evaluate]
      file = "test.tsv"
    and then
      stillhouse run films.toml --dry-run
      stillhouse run films.toml
    """
    chain = load_pipeline(pipeline)
    names = [str(stage.made) for stage in chain.stages]
    widths = (max(len(stage.command) for stage in chain.stages), max(map(len, names)))
    if dry_run:
        for step in plan(chain):
            click.echo(_line(step, widths))
        return
    run_pipeline(chain, lambda told: click.echo(_line(told, widths) if isinstance(told, Step) else f"  {told}"))


def _line(step: Step, widths: tuple[int, int]) -> str:
    command, made = step.stage.command, str(step.stage.made)
    return f"{step.action:<6}  {command:<{widths[0]}}  {made:<{widths[1]}}  {', '.join(step.why)}"
