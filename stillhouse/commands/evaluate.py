"""``stillhouse evaluate``: a student's figures on a labelled file."""

from __future__ import annotations

import json
from typing import Any

import click

from students.evaluate import evaluate
from students.predict import open_student
from transferset import StillhouseError, open_cache

from ._evaluation_lines import evaluation_lines
from ._options import read_source, source_options


@click.command()
@click.argument("student")
@click.argument("file")
@click.option("--cache", help="Logit cache that has the file's rows: adds the teacher, and how far the student is off.")
@click.option("--label", help="Column of the gold label.  [default: as in training]")
@click.option("--baseline", metavar="STUDENT2", help="Another student, to be compared on the same rows.")
@click.option("--text", help="Column of the first text, for a student of embeddings.")
@click.option("--text-pair", help="Column of the second text; the label is then a score of how like they are.")
@click.option("--resamples", default=1000, show_default=True, help="Bootstrap resamples for intervals; 0 for none.")
@click.option("--seed", default=0, show_default=True, help="Seed of the resamples.")
@click.option("--cost", is_flag=True, help="Measure size and speed too; takes some seconds more.")
@click.option("--threads", type=click.IntRange(1), help="Threads that compute.  [default: cores]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all intervals.")
@source_options
def command(
    student: str, file: str, cache: str | None, baseline: str | None, as_json: bool, cost: bool, **options: Any
) -> None:
    """Measure STUDENT, a directory or an ONNX file, on the labelled FILE.

    An interval holds 95 of 100 bootstrap resamples of the rows. With --baseline the difference has its own, of the
    same resamples for both students: where it leaves out 0, the difference is hardly chance.

    \b
    Examples:
      stillhouse evaluate S data/test.tsv --json
      stillhouse evaluate S data/test.tsv --cache L --baseline S2
      stillhouse evaluate S.onnx data/test.tsv --cost --threads 1
      stillhouse evaluate E data/stsb.tsv --text sentence1 --text-pair sentence2 --label score
    """
    found = evaluate(
        open_student(student, options["threads"]),
        read_source(file, options["quote"], options["no_header"], options["encoding"]),
        open_cache(cache) if cache else None,
        options["label"],
        open_student(baseline, options["threads"]) if baseline else None,
        _pair(options["text"], options["text_pair"]),
        options["resamples"],
        options["seed"],
        student if cost else None,
    )
    for line in [json.dumps(found)] if as_json else evaluation_lines(found):
        click.echo(line)


def _pair(text: str | None, text_pair: str | None) -> tuple[str, str] | None:
    if text is None and text_pair is None:
        return None
    if text is None or text_pair is None:
        given, lacking = ("--text", "--text-pair") if text_pair is None else ("--text-pair", "--text")
        raise StillhouseError(f"evaluate: {given} must be given with {lacking}, got it alone")
    return text, text_pair
