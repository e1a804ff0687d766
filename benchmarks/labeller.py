"""The labeller against what people use today; a JSON line a figure, with both sides' raw numbers.

    python benchmarks/labeller.py peers       # 10,000 texts: transformers.pipeline, CrossEncoder, ours, the peak
    python benchmarks/labeller.py scale       # 1,000,000 distinct texts: memory, speed in the first and last tenth
    python benchmarks/labeller.py estimators  # scikit-learn teachers against one call on the whole array

Contenders take turns, three times over; medians are quoted. Loading a model is in nobody's time; what ``auto`` needs to
find its precision is given apart.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from augment import augment_file
from label import Answers, Description, Loaded, Request, label, load_teacher
from transferset import Source, Task, TransferSet

ROOT = Path(__file__).parent.parent
TASK = Task("text", ("sentence",), "label")
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["peers", "scale", "estimators"])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--rows", type=int, default=0, help="fewer rows than the benchmark's own number, for a try")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    os.environ.setdefault("NLTK_DATA", str((given.shared / "nltk_data").resolve()))
    with tempfile.TemporaryDirectory() as folder:
        {"peers": peers, "scale": scale, "estimators": estimators}[given.what](given.shared, Path(folder), given.rows)


def say(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def in_turn(contenders: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """What each contender measured in each round."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, measure in contenders.items():
            found[name].append(measure())
            print(f"  {name}: {found[name][-1]:,.1f}", file=sys.stderr, flush=True)
    return found


# 10,000 texts, one teacher.


def peers(shared: Path, folder: Path, rows: int) -> None:
    texts = distinct_texts(shared, rows or 10_000)
    model = str(shared / "models" / "minilm-l6-sst2")
    transfer = as_transfer_set(texts, folder)
    waits: dict[str, list[float]] = {dtype: [] for dtype in ("auto", "float32", "onnx", "int8")}

    def ours(dtype: str) -> float:
        shutil.rmtree(folder / "L", ignore_errors=True)
        started = time.monotonic()
        done = label(transfer, load_teacher(model, {"dtype": dtype}), folder / "L")
        waits[dtype].append(time.monotonic() - started - done.seconds)
        chosen[dtype] = done.teacher.identity["dtype"]
        notes[dtype] = done.teacher.made_with.get("precision")
        return done.labelled / done.seconds

    chosen: dict[str, str] = {}
    notes: dict[str, Any] = {}
    pipeline, best = best_pipeline(model, texts)
    encoders = {dtype: cross_encoder(model, dtype) for dtype in ("float32", "bfloat16")}
    rates = in_turn(
        {
            "ours auto": lambda: ours("auto"),
            "ours float32": lambda: ours("float32"),
            "ours onnx": lambda: ours("onnx"),
            "ours int8": lambda: ours("int8"),
            "pipeline": lambda: len(texts) / seconds(lambda: pipeline(texts, batch_size=best)),
            "CrossEncoder": lambda: len(texts) / seconds(lambda: encoders["float32"](texts)),
            "CrossEncoder bfloat16": lambda: len(texts) / seconds(lambda: encoders["bfloat16"](texts)),
            "peak float32": lambda: matrix_peak(torch.float32),
            "peak bfloat16": lambda: matrix_peak(torch.bfloat16),
        }
    )
    middle = {name: statistics.median(each) for name, each in rates.items()}
    say(texts_a_second=rates, pipeline_batch=best, auto_chose=chosen["auto"], why=notes["auto"])
    say(int8=notes["int8"], onnx=notes["onnx"])
    for name in ("ours auto", "ours float32", "ours onnx", "ours int8"):
        for peer in ("pipeline", "CrossEncoder", "CrossEncoder bfloat16"):
            say(ratio=f"{name} / {peer}", value=round(middle[name] / middle[peer], 2))
    work = flops_of(model, texts)
    for name, dtype in (("ours auto", chosen["auto"]), ("ours float32", "float32")):
        if f"peak {dtype}" in middle:
            share = middle[name] * work / middle[f"peak {dtype}"] / 1e9
            say(share_of_peak=name, dtype=dtype, gflop_a_text=round(work / 1e9, 3), value=round(share, 2))
    say(seconds_to_load_and_settle={name: round(statistics.median(each), 1) for name, each in waits.items()})


def distinct_texts(shared: Path, number: int) -> list[str]:
    lines = (shared / "data" / "sst2" / "train.tsv").read_text("utf-8").splitlines()[1:]
    texts = list(dict.fromkeys(line.split("\t")[0] for line in lines))
    return [texts[place] for place in np.random.default_rng(0).permutation(len(texts))[:number]]


def as_transfer_set(texts: list[str], folder: Path) -> TransferSet:
    pq.write_table(pa.table({"sentence": texts}), folder / "texts.parquet")
    augment_file(
        Source(folder / "texts.parquet"), Task("text", ("sentence",), classes=("0", "1")), folder / "T", copies=0
    )
    return TransferSet.open(folder / "T")


def best_pipeline(model: str, texts: list[str]) -> tuple[Any, int]:
    """The pipeline, and the fastest of its batch sizes on 1,000 of the texts."""
    from transformers import pipeline

    asked = pipeline("text-classification", model=model, device="cpu", top_k=None)
    rates = {size: 1000 / seconds(lambda size=size: asked(texts[:1000], batch_size=size)) for size in (1, 8, 32, 64)}
    say(pipeline_by_batch_size={size: round(rate) for size, rate in rates.items()})
    return asked, max(rates, key=lambda size: rates[size])


def cross_encoder(model: str, dtype: str) -> Callable[[list[str]], Any]:
    """``CrossEncoder.predict`` takes pairs; with an empty second text each has one token more."""
    from sentence_transformers import CrossEncoder

    options = {} if dtype == "float32" else {"model_kwargs": {"dtype": torch.bfloat16}}
    encoder = CrossEncoder(model, device="cpu", **options)
    return lambda texts: encoder.predict([(text, "") for text in texts], show_progress_bar=False)


def seconds(work: Callable[[], Any]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def matrix_peak(dtype: torch.dtype) -> float:
    """GFLOP/s of the faster of a square product and the model's largest, with all cores."""
    best = 0.0
    with torch.inference_mode():
        for rows, inner, columns in ((2048, 2048, 2048), (2048, 384, 1536)):
            layer, x = torch.nn.Linear(inner, columns).to(dtype), torch.randn(rows, inner, dtype=dtype)
            layer(x)
            times = [seconds(lambda layer=layer, x=x: layer(x)) for _ in range(20)]
            best = max(best, 2 * rows * inner * columns / statistics.median(times) / 1e9)
    return best


def flops_of(model: str, texts: list[str]) -> float:
    """What a text costs on average: products with weights, and of queries, keys and values; no padding."""
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(model)
    lengths = np.array([len(ids) for ids in AutoTokenizer.from_pretrained(model)(texts)["input_ids"]])
    width, inner = config.hidden_size, config.intermediate_size
    weights = config.num_hidden_layers * (4 * width * width + 2 * width * inner)
    attention = config.num_hidden_layers * 2 * 2 * width
    return float((2 * weights * lengths + attention * lengths**2).mean())


# A million texts, a tiny teacher.


@dataclass(frozen=True)
class Timed:
    """A teacher that notes when it answered about how much."""

    gives: ClassVar[Any] = ("logits",)

    teacher: Any
    notes: list[tuple[float, int, int]] = field(default_factory=list)

    def load(self, request: Request) -> Loaded:
        """The teacher, with notes."""
        return _Timed(self.teacher.load(request), self.notes)


@dataclass
class _Timed:
    loaded: Loaded
    notes: list[tuple[float, int, int]]

    @property
    def description(self) -> Description:
        return self.loaded.description

    def kept(self) -> Any:
        return self.loaded.kept()

    def answer(self, rows: pa.Table) -> Answers:
        answers = self.loaded.answer(rows)
        self.notes.append((time.monotonic(), len(rows), rows.nbytes))
        return answers


def scale(shared: Path, folder: Path, rows: int) -> None:
    tiny_teacher(shared, folder / "tiny")
    copies = 40 if not rows else 2
    source = Source(shared / "data" / "sst2" / "train.tsv")
    augment_file(source, TASK, folder / "T", "tang2019", copies, 0, workers=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    transfer, teacher = TransferSet.open(folder / "T"), Timed(load_teacher(str(folder / "tiny"), {"dtype": "float32"}))
    started = time.monotonic()
    done = label(transfer, teacher, folder / "L", progress=True)
    total = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    say(distinct=done.distinct, rows=done.rows, seconds=round(total, 1), reading=round(total - done.seconds, 1))
    say(texts_a_second=round(done.labelled / done.seconds), peak_gib=round(peak, 2), gib_before=round(before, 2))
    moments, counts, sizes = (np.array(each) for each in zip(*sorted(teacher.notes), strict=True))
    bounds = np.searchsorted(np.cumsum(counts), np.arange(1, 10) * counts.sum() / 10)
    tenths = list(zip(np.split(moments, bounds), np.split(counts, bounds), np.split(sizes, bounds), strict=True))
    spans = np.diff([moments[0] - (moments[-1] - moments[0]) / len(moments), *(each[0][-1] for each in tenths)])
    rates = [round(float(each[1].sum() / span)) for each, span in zip(tenths, spans, strict=True)]
    bytes_rates = [round(float(each[2].sum() / span / 1e6), 2) for each, span in zip(tenths, spans, strict=True)]
    say(
        texts_a_second_by_tenth=rates,
        megabytes_a_second_by_tenth=bytes_rates,
        last_to_first=round(rates[-1] / rates[0], 2),
    )


def tiny_teacher(shared: Path, folder: Path) -> None:
    """Two layers of 32 units with the vocabulary of the real teacher."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / "minilm-l6-sst2")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


# scikit-learn teachers.


def estimators(shared: Path, folder: Path, rows: int) -> None:
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

    trees, boosting = (
        ExtraTreesClassifier(500, n_jobs=-1, random_state=0),
        HistGradientBoostingClassifier(random_state=0),
    )
    for name, file, gold in (("letter", "letter.tsv", "letter"), ("adult", "adult.csv", "income-per-year")):
        source = Source(shared / "data" / name / file)
        task = Task("features", tuple(column for column in source.columns() if column != gold), gold)
        augment_file(source, task, folder / name, "munge", copies=1 if rows else 4, seed=0)
        transfer = TransferSet.open(folder / name)
        frame = pa.concat_tables(transfer.tables()).to_pandas()
        for estimator in (trees, boosting):
            compare_estimator(transfer, frame, name, estimator, folder / f"{name}-{type(estimator).__name__}")


def compare_estimator(transfer: TransferSet, frame: Any, name: str, estimator: Any, folder: Path) -> None:
    """The rate of ``label`` beside that of one call with all distinct rows in a data frame."""
    import joblib
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    inputs, gold = list(transfer.task.inputs), str(transfer.task.label)
    nominal = [column for column in inputs if frame[column].dtype.kind not in "ifb"]
    encode = ColumnTransformer(
        [("nominal", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), nominal)],
        remainder="passthrough",
    )
    labelled = frame[frame["copy"] == 0]
    model = make_pipeline(encode, estimator).fit(labelled[inputs], labelled[gold])
    folder.mkdir()
    joblib.dump(model, folder / "model.joblib")
    whole = frame[inputs][~frame["key"].duplicated()]
    teacher = load_teacher(f"sklearn:{folder / 'model.joblib'}", {"trust_pickle": True})

    def ours() -> float:
        shutil.rmtree(folder / "L", ignore_errors=True)
        done = label(transfer, teacher, folder / "L")
        return done.labelled / done.seconds

    rates = in_turn({"ours": ours, "one call": lambda: len(whole) / seconds(lambda: model.predict_proba(whole))})
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["one call"])
    say(data=name, estimator=type(estimator).__name__, rows=len(whole), rows_a_second=rates, ratio=round(ratio, 2))


if __name__ == "__main__":
    main()
