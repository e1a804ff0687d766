"""``stillhouse label``: the teacher labels a transfer set once."""

from __future__ import annotations

from pathlib import Path

import click

from label import Huggingface, label
from transferset import LogitCache, TransferSet

from ._options import out_options, replacing, store_name


@click.command()
@click.argument("transfer")
@click.option("--teacher", required=True, help="Directory or hub name of a Hugging Face sequence classifier.")
@click.option("--max-length", type=int, help="Most tokens of a text.  [default: what the teacher takes]")
@click.option("--batch-tokens", type=int, default=2048, show_default=True, help="Tokens in a forward pass.")
@click.option("--dtype", default="auto", show_default=True, help="auto, float32 or bfloat16.")
@out_options("logit cache")
def command(
    transfer: str, teacher: str, max_length: int | None, batch_tokens: int, dtype: str, out: str, force: bool
) -> None:
    """Label every distinct row of TRANSFER with the teacher's logits; rows that the cache has are skipped.

    \b
    Example:
      stillhouse label T --teacher ./my-bert --out L
    """
    rows = TransferSet.open(transfer)
    model = Huggingface(teacher, max_length, _cached_dtype(out, force) if dtype == "auto" else dtype)  # type: ignore[arg-type]
    with replacing(out, force, store_name):
        done = label(rows, model, out, teacher, batch_tokens, progress=True)
    rate = f" ({done.labelled / done.seconds:,.0f} texts a second)" if done.labelled else ""
    click.echo(
        f"{out}: {done.distinct:,} distinct of {done.rows:,} rows,"
        f" {done.labelled:,} labelled now in {model.dtype}{rate}"
    )
    if done.cut:
        click.echo(f"  {done.cut:,} texts were longer than {model.max_length} tokens and were cut")


def _cached_dtype(out: str, force: bool) -> str:
    """What ``auto`` means for a cache that exists: the precision it was made in."""
    if force or not (Path(out) / "_manifest" / "about.json").exists():
        return "auto"
    return str(LogitCache.open(out).store.about.get("dtype", "auto"))
