"""One question to a transfer set and its logit cache, asked with DuckDB, polars, pandas and ``datasets``.

Usage::

    python examples/read_anywhere.py

Both are folders of Parquet files with the column ``key``, so they are joined as any two tables are. Needs
``pip install duckdb polars pandas datasets``.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pandas as pd
import polars as pl
import skops.io
from datasets import disable_progress_bars, load_dataset
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from augment import Mask, Ngram, OneOf, augment_file
from label import label, load_teacher
from transferset import LogitCache, Source, Task, TransferSet, join

REVIEWS = Path(__file__).parent.parent / "data" / "reviews" / "train.tsv"


def main() -> None:
    """Makes a transfer set and a cache of it, and asks which edits move the teacher."""
    disable_progress_bars()
    with TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        print("DuckDB: how far each kind of edit moves the teacher")
        moved = duckdb.sql(f"""
            WITH said AS (
                SELECT source, copy, edits, logits[2] - logits[1] AS margin
                FROM '{folder}/T/*.parquet' JOIN '{folder}/L/*.parquet' USING (key)
            )
            SELECT copied.edits[1].rule AS rule, count(*) AS copies,
                round(avg(abs(copied.margin - original.margin)), 2) AS moved,
                round(100 * avg(((copied.margin > 0) <> (original.margin > 0))::int), 1) AS "turned %"
            FROM said AS copied JOIN said AS original USING (source)
            WHERE copied.copy > 0 AND original.copy = 0
            GROUP BY rule ORDER BY rule
        """)
        for row in [tuple(moved.columns), *moved.fetchall()]:
            print("  {:<6} {:>6} {:>6} {:>9}".format(*row))

        # One flat file has a column for each class, and no keys.
        join(TransferSet.open(folder / "T"), LogitCache.open(folder / "L"), folder / "all.parquet")
        frame = pd.read_parquet(folder / "all.parquet")
        print(f"pandas: {len(frame):,} rows, {frame['label'].notna().sum()} with a gold label; margin by copy")
        margin = (frame["logit_positive"] - frame["logit_negative"]).abs()
        print("  " + "  ".join(f"{copy}: {mean:.2f}" for copy, mean in margin.groupby(frame["copy"]).mean().items()))

        lazy = pl.scan_parquet(folder / "all.parquet").filter(pl.col("copy") == 0)
        surest = lazy.sort("logit_negative", descending=True).select("text").first().collect().item()
        print(f"polars: the worst review is {surest!r}")

        rows = load_dataset("parquet", data_files=str(folder / "all.parquet"), split="train", cache_dir=name)
        print(f"datasets: {rows.num_rows:,} rows of {', '.join(rows.column_names)}")


def make(folder: Path) -> None:
    """A transfer set ``T`` and the cache ``L`` of a quick teacher: words and their weights."""
    recipe = [OneOf((Mask(rate=0.2), Ngram(rate=1.0)))]
    augment_file(Source(REVIEWS), Task("text", ("text",), "label"), folder / "T", recipe, copies=4)
    gold = pd.read_csv(REVIEWS, sep="\t", quoting=3).dropna()
    teacher = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(gold["text"], gold["label"])
    skops.io.dump(teacher, folder / "teacher.skops")
    label(TransferSet.open(folder / "T"), load_teacher(f"sklearn:{folder}/teacher.skops"), folder / "L")


if __name__ == "__main__":
    main()
