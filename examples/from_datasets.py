"""From ``datasets.load_dataset`` to a transfer set, and from a transfer set back.

Usage::

    python examples/from_datasets.py

A set of the hub would be read the same way: ``load_dataset("glue", "sst2")``, or on the command line
``stillhouse augment glue/sst2 --out T``. Needs ``pip install 'stillhouse[hub]'``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import ClassLabel, disable_progress_bars, load_dataset

from augment import Mask, Ngram, augment, augment_file
from transferset import Source, Task, TransferSet

REVIEWS = str(Path(__file__).parent.parent / "data" / "reviews" / "train.tsv")
TASK = Task("text", ("text",), "label")
RECIPE = [Mask(rate=0.15), Ngram(rate=0.3)]


def main() -> None:
    """Reads the reviews in three ways."""
    disable_progress_bars()
    with TemporaryDirectory() as folder:
        how = {"data_files": REVIEWS, "delimiter": "\t", "quoting": 3, "split": "train"}
        reviews = load_dataset("csv", cache_dir=folder, **how)
        # Classes keep the order in which the data set numbers them, and labels their names.
        numbered = reviews.cast_column("label", ClassLabel(names=["positive", "negative"]))
        whole = augment_file(Source.of(numbered), TASK, Path(folder, "whole"), RECIPE, copies=3)
        print(f"in memory: {whole.rows():,} rows, classes {TransferSet(whole).task.classes}")

        # A stream is read as it comes and never held: the rows are the same.
        stream = load_dataset("csv", streaming=True, **how)
        streamed = augment_file(Source.of(stream), TASK, Path(folder, "streamed"), RECIPE, copies=3)
        same = whole.about["source"]["fingerprint"] == streamed.about["source"]["fingerprint"]
        print(f"streaming: {streamed.rows():,} rows, the same source: {same}")

        few = augment(reviews.select(range(2)), RECIPE, copies=2, seed=3, task=TASK)
        for row in few.to_pylist():
            print(f"  {'copy' if row['copy'] else 'original'}  {row['text'][:90]}")

        # And out: a transfer set is Parquet.
        back = load_dataset("parquet", data_files=f"{folder}/whole/*.parquet", split="train", cache_dir=folder)
        print(f"back: {back.num_rows:,} rows of {', '.join(back.column_names)}")


if __name__ == "__main__":
    main()
