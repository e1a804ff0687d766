"""Data sets of Hugging Face as sources, the tasks of GLUE by name, other tools on what comes out, and the examples."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from datasets import ClassLabel, Dataset, DatasetDict, IterableDataset, List, Value
from small_sets import CLASSES, TASK, TEXTS, cache_of, transfer_set
from small_sets import run as train_small

from augment import Mask, augment, augment_file
from stillhouse.cli import stillhouse as group
from students import evaluate
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, content_keys, read_rows
from transferset.glue import COLUMNS, glue_task
from transferset.huggingface import hub_name

pytestmark = pytest.mark.usefixtures("quiet", "one_thread", "no_sync")
ROWS = {"sentence": ["a fine film", "dull", "so so", "great fun"], "label": [1, 0, -1, 1]}
NAMED = datasets.Features({"sentence": Value("string"), "label": ClassLabel(names=["neg", "a pos"])})
LABELLED = [("a fine film", "a pos"), ("dull", "neg"), ("so so", None), ("great fun", "a pos")]


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """No progress bars, no hub, and a cache of its own."""
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def reviews(rows=None) -> Dataset:
    return Dataset.from_dict(ROWS if rows is None else rows, features=NAMED)


def write_folder(folder, **splits):
    """A folder with a csv file for each split."""
    folder.mkdir(parents=True)
    for split, lines in splits.items():
        (folder / f"{split}.csv").write_text("sentence,label\n" + "".join(f"{line}\n" for line in lines))
    return folder


def rows_of(source, columns=("sentence", "label"), rows=8192):
    found = []
    for batch in source.batches(list(columns), rows):
        assert batch.schema.names == list(columns)
        assert 0 < batch.num_rows <= rows
        found += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    return found


# Sources.


@pytest.mark.parametrize("make", [reviews, lambda: reviews().to_iterable_dataset(num_shards=2)])
@pytest.mark.parametrize("rows", [1, 3, 8192])
def test_class_numbers_become_names_and_no_label_becomes_null(make, rows):
    source = Source.of(make())
    assert source.columns() == ["sentence", "label"]
    assert source.classes("label") == ("neg", "a pos")
    assert source.classes("sentence") == ()
    assert rows_of(source, rows=rows) == LABELLED
    assert rows_of(source, ["label"], rows) == [(label,) for _, label in LABELLED]


def test_lists_of_class_numbers_become_lists_of_names():
    features = datasets.Features({"text": Value("string"), "topics": List(ClassLabel(names=["x", "y"]))})
    data = Dataset.from_dict({"text": ["a", "b", "c"], "topics": [[1, 0], [], [1]]}, features=features)
    task = Task("text", ("text",), "topics", "multilabel", classes=Source.of(data).classes("topics"))
    (batch,) = read_rows(Source.of(data), task)
    assert batch.column("topics").to_pylist() == [["y", "x"], [], ["y"]]


def test_a_stream_that_knows_no_features_is_read_by_its_first_row():
    def rows():
        yield from ({"a": n, "text": f"text {n}"} for n in range(5))

    source = Source.of(IterableDataset.from_generator(rows))
    assert source.columns() == ["a", "text"]
    assert rows_of(source, ["text", "a"], 2) == [(f"text {n}", n) for n in range(5)]
    assert rows_of(source, ["a"]) == [(n,) for n in range(5)]


def test_rows_that_were_shuffled_and_filtered_come_in_that_order():
    data = reviews().filter(lambda row: row["label"] >= 0).select([2, 0])
    assert rows_of(Source.of(data)) == [LABELLED[3], LABELLED[0]]


def test_what_is_no_data_set_or_has_splits_is_refused():
    with pytest.raises(StillhouseError, match="must be a data set of the library datasets, got list"):
        Source.of(["text"])
    both = DatasetDict(train=reviews(), test=reviews())
    with pytest.raises(StillhouseError, match="must be given with its split, one of train, test"):
        Source.of(both)
    assert rows_of(Source.of(DatasetDict(test=reviews()))) == LABELLED
    with pytest.raises(StillhouseError, match="did you mean 'sentence'"):
        rows_of(Source.of(reviews()), ["sentense"])


def test_a_stream_that_fails_on_the_way_is_one_line():
    def rows():
        yield {"text": "fine"}
        raise OSError("the disk is gone")

    with pytest.raises(StillhouseError, match="data: must be a data set that can be read to its end: "):
        rows_of(Source.of(IterableDataset.from_generator(rows)), ["text"], 1)


def test_a_transfer_set_is_the_same_from_memory_stream_disk_and_file(tmp_path):
    task = Task("text", ("sentence",), "label")
    reviews().save_to_disk(tmp_path / "saved")
    lines = [f"{text}\t{label or ''}\n" for text, label in LABELLED]
    (tmp_path / "rows.tsv").write_text("sentence\tlabel\n" + "".join(lines))
    sources = {
        "memory": Source.of(reviews()),
        "stream": Source.of(reviews().to_iterable_dataset()),
        "saved": Source(tmp_path / "saved"),
        "file": Source(tmp_path / "rows.tsv"),
    }
    made = {}
    for name, source in sources.items():
        store = augment_file(source, task, tmp_path / name / "T", [Mask(rate=0.5)], copies=3)
        about = {**store.about, "task": None}
        assert TransferSet(store).task.classes == (("neg", "a pos") if name != "file" else ("a pos", "neg"))
        made[name] = (about, [part.checksum for part in store.parts()])
    assert len({str(each) for each in made.values()}) == 1


def test_a_data_set_is_a_table_in_memory():
    task = Task("text", ("sentence",), "label")
    found = augment(reviews(), [Mask(rate=0.5)], copies=1, task=task)
    assert found.filter(pa.compute.equal(found["copy"], 0))["label"].to_pylist() == [label for _, label in LABELLED]
    features = Dataset.from_dict({"a": [1, 2, 3], "b": ["x", "y", "x"]})
    assert augment(features, copies=1).column_names[:2] == ["a", "b"]


def test_a_folder_has_splits_which_the_name_says(tmp_path):
    folder = write_folder(tmp_path / "films", train=["fine,pos", "dull,neg"], test=["great,pos"])
    assert rows_of(Source(f"{folder}:test")) == [("great", "pos")]
    assert rows_of(Source(folder, split="train")) == [("fine", "pos"), ("dull", "neg")]
    assert rows_of(Source(f"{folder}:test", split="train")) == [("great", "pos")]
    with pytest.raises(
        StillhouseError, match=r"films: must be given with its split, one of train, test, got none: say"
    ):
        Source(folder)
    with pytest.raises(
        StillhouseError, match="films:tset: split: must be one of train, test, got 'tset': did you mean"
    ):
        Source(f"{folder}:tset")


def test_a_saved_dict_has_splits_and_a_saved_data_set_has_none(tmp_path):
    DatasetDict(train=reviews(), test=reviews().select([1])).save_to_disk(tmp_path / "both")
    assert rows_of(Source(f"{tmp_path}/both:test")) == [("dull", "neg")]
    reviews().save_to_disk(tmp_path / "one")
    assert rows_of(Source(tmp_path / "one")) == LABELLED
    with pytest.raises(StillhouseError, match="must have splits to name one"):
        Source(f"{tmp_path}/one:train")


def test_a_folder_of_parquet_is_read_whole_unless_its_files_are_named_as_splits(tmp_path):
    for name in ("part-0", "part-1"):
        pq.write_table(pa.table({"n": [name]}), tmp_path / f"{name}.parquet")
    assert rows_of(Source(tmp_path), ["n"]) == [("part-0",), ("part-1",)]
    (tmp_path / "hub").mkdir()
    for name in ("test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"):
        pq.write_table(pa.table({"n": [name]}), tmp_path / "hub" / f"{name}.parquet")
    assert len(rows_of(Source(tmp_path / "hub", split="train"), ["n"])) == 2
    assert rows_of(Source(f"{tmp_path}/hub:test"), ["n"]) == [("test-00000-of-00001",)]
    with pytest.raises(StillhouseError, match="must be given with its split"):
        Source(tmp_path / "hub")


def test_a_folder_of_nothing_that_can_be_read_is_one_line(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x.docx").write_text("not data")
    for folder in (tmp_path / "notes", f"{tmp_path}/notes:train"):
        with pytest.raises(StillhouseError, match="must be a folder of Parquet, or of a data set that") as caught:
            Source(folder)
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *args: pytest.fail("asked the hub"))
    for name in ("data/train.tsv", "nowhere", "/no/such/place", "../glue", "a/b/c/d"):
        with pytest.raises(StillhouseError, match="must be a file or a directory of Parquet, got nothing there"):
            Source(name)


def test_the_hub_is_asked_for_repository_and_configuration(monkeypatch):
    asked = []

    def load(*names):
        asked.append(names)
        return DatasetDict(train=reviews(), test=reviews({"sentence": ["hidden"], "label": [-1]}))

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert rows_of(Source("glue/sst2:train")) == LABELLED
    assert rows_of(Source("me/films", split="train")) == LABELLED
    assert rows_of(Source("me/films/small:test")) == [("hidden", None)]
    assert asked == [("nyu-mll/glue", "sst2"), ("me/films",), ("me/films", "small")]
    # What GLUE keeps to itself is no label.
    assert Source("glue/sst2:test").columns() == Source("nyu-mll/glue/sst2", split="test").columns() == ["sentence"]


def test_without_an_answer_of_the_hub_there_is_one_line(tmp_path):
    with pytest.raises(StillhouseError, match="a data set of the Hugging Face hub, got nothing there and of") as caught:
        command("augment", "glue/mrpc", "--out", tmp_path / "T")
    assert str(caught.value).startswith("glue/mrpc: must be a file, a folder, or")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "T").exists()


def test_without_the_library_the_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(StillhouseError, match=r"glue/sst2: must be a file, or .*pip install 'stillhouse\[hub\]'"):
        Source("glue/sst2")


def test_the_hash_of_a_data_set_is_that_of_its_rows():
    one, same, other = (Source.of(each) for each in (reviews(), reviews().to_iterable_dataset(), reviews().select([0])))
    assert one.content() == same.content() != other.content()


def test_a_student_is_watched_and_measured_on_splits(tmp_path):
    lines = [f"own{n} {word} film,{label}" for n, (word, label) in enumerate([("good", "pos"), ("bad", "neg")] * 10)]
    folder = write_folder(tmp_path / "films", train=lines, validation=lines[:6])
    source = Source(f"{folder}:validation")
    transfer, cache = transfer_set(tmp_path, recipe=[Mask()]), cache_of(tmp_path / "L", TEXTS)
    renamed = source.data.rename_column("sentence", "text")
    student, metrics = train_small(transfer, cache, tmp_path / "S", dev=Source.of(renamed, "films"))
    assert "dev_accuracy" in metrics["history"][0]
    assert student.config.made_from["dev"]["name"] == "films"
    assert evaluate(student, Source.of(renamed), resamples=0)["rows"] == 6


# GLUE.


@pytest.mark.parametrize("name", COLUMNS)
def test_every_task_of_glue_is_known_by_its_name(name):
    for inputs, label in COLUMNS[name]:
        columns = ["idx", *inputs, label, "extra"]
        wanted = Task(
            "pair" if len(inputs) == 2 else "text", inputs, label, "regression" if name == "stsb" else "classification"
        )
        for place in (f"glue/{name}", f"glue/{name}:validation", f"/data/{name.upper()}/train.tsv", f"x/{name}"):
            assert glue_task(place, columns) == wanted
        assert glue_task(f"glue/{name}:test", ["idx", *inputs]).label is None
    assert glue_task(f"glue/{name}", ["text", "label"]) is None


def test_names_of_glue_are_spelt_as_its_folders_are_too():
    columns = ["sentence1", "sentence2", "score"]
    assert glue_task("STS-B/dev.tsv", columns) == glue_task("sts_b/dev.tsv", columns) == glue_task("glue/stsb", columns)
    assert glue_task("SST-2/dev.tsv", ["sentence", "label"]).inputs == ("sentence",)
    assert glue_task("glue/mnli_mismatched", ["premise", "hypothesis", "label"]).kind == "pair"
    assert glue_task("reviews/dev.tsv", ["sentence", "label"]) is None
    assert hub_name("glue/mnli:validation_matched") == ("nyu-mll/glue", "mnli")


def command(*arguments):
    """A command of the command line, in this process."""
    group.main([*map(str, arguments)], standalone_mode=False)


def test_a_task_of_glue_needs_no_columns_on_the_command_line(tmp_path, shared):
    file = tmp_path / "MRPC" / "train.tsv"
    file.parent.mkdir()
    lines = (shared / "data" / "mrpc" / "train.tsv").read_text(encoding="utf-8-sig").splitlines()[:30]
    file.write_text("\n".join(lines) + "\n")
    command("augment", file, "--pos-tagger", "classes", "--copies", 1, "--workers", 1, "--out", tmp_path / "M")
    task = TransferSet.open(tmp_path / "M").task
    assert (task.inputs, task.label, task.classes) == (("#1 String", "#2 String"), "Quality", ("0", "1"))


def test_the_command_line_reads_the_splits_of_a_folder(tmp_path, tiny_teacher, monkeypatch, capsys):
    lines = [f"own{n} {word} film,{label}" for n, (word, label) in enumerate([("good", "pos"), ("bad", "neg")] * 20)]
    write_folder(tmp_path / "sst2", train=lines, validation=lines[:10])
    monkeypatch.chdir(tmp_path)
    command("augment", "sst2", "--copies", 1, "--pos-tagger", "classes", "--workers", 1, "--out", "T")
    assert TransferSet.open("T").store.about["source"]["rows"] == 40
    command("label", "T", "--teacher", tiny_teacher, "--dtype", "float32", "--out", "L")
    small = ("--student", "bag", "--vector-width", 8, "--hidden", 8, "--epochs", 1)
    command("train", "T", "L", *small, "--dev", "sst2:validation", "--out", "S")
    capsys.readouterr()
    command("evaluate", "S", "sst2:validation", "--resamples", 0, "--json")
    assert json.loads(capsys.readouterr().out)["rows"] == 10
    with pytest.raises(StillhouseError, match="say sst2:train"):
        command("predict", "S", "sst2")


# What comes out.


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A transfer set and its cache, in one folder."""
    folder = tmp_path_factory.mktemp("made")
    transfer = transfer_set(folder, recipe=[Mask(rate=0.5)], copies=2)
    texts = [text for table in transfer.tables(["text"]) for text in table["text"].to_pylist()]
    cache_of(folder / "L", texts)
    return folder


def test_every_tool_reads_the_rows_of_a_transfer_set(made, tmp_path):
    wanted = pa.concat_tables(TransferSet.open(made / "T").tables())
    texts, copies, keys = (wanted[name].to_pylist() for name in ("text", "copy", "key"))
    files = f"{made}/T/*.parquet"
    frame = pd.read_parquet(made / "T")
    assert [frame["text"].tolist(), frame["copy"].tolist(), frame["key"].tolist()] == [texts, copies, keys]
    lazy = pl.scan_parquet(files).collect()
    assert [lazy["text"].to_list(), lazy["copy"].to_list(), lazy["key"].to_list()] == [texts, copies, keys]
    assert duckdb.sql(f"SELECT text, copy, key FROM '{files}'").fetchall() == list(
        zip(texts, copies, keys, strict=True)
    )
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert [loaded["text"][:], loaded["copy"][:], loaded["key"][:]] == [texts, copies, keys]
    rules = [[edit["rule"] for edit in edits] for edits in loaded["edits"]]
    assert rules == [[edit["rule"] for edit in edits] for edits in wanted["edits"].to_pylist()]


def test_every_tool_joins_the_cache_by_its_key(made, tmp_path):
    transfer, cache = TransferSet.open(made / "T"), LogitCache.open(made / "L")
    table = pa.concat_tables(transfer.tables())
    wanted = dict(zip(table["text"].to_pylist(), cache.logits(content_keys(TASK, table), TASK).tolist(), strict=True))
    frame = pd.read_parquet(made / "T").merge(pd.read_parquet(made / "L"), on="key")
    assert {text: list(row) for text, row in zip(frame["text"], frame["logits"], strict=True)} == wanted
    joined = pl.read_parquet(f"{made}/T/*.parquet").join(pl.read_parquet(f"{made}/L/*.parquet"), on="key")
    assert dict(zip(joined["text"].to_list(), joined["logits"].to_list(), strict=True)) == wanted
    rows = duckdb.sql(f"SELECT text, logits FROM '{made}/T/*.parquet' JOIN '{made}/L/*.parquet' USING (key)")
    assert {text: list(row) for text, row in rows.fetchall()} == wanted
    loaded = datasets.load_dataset("parquet", data_files=f"{made}/L/*.parquet", split="train", cache_dir=str(tmp_path))
    assert sorted(loaded["logits"][:]) == sorted(wanted.values())
    assert cache.classes == CLASSES


# The examples.


def example(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", ROOT / "examples" / name],
        cwd=tmp_path,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_example_from_datasets(tmp_path):
    said = example("from_datasets.py", tmp_path)
    assert "classes ('positive', 'negative')" in said
    assert "the same source: True" in said
    assert "back: " in said


def test_the_example_that_reads_with_every_tool(tmp_path):
    said = example("read_anywhere.py", tmp_path)
    assert re.search(r"mask +\d+ +\d\.\d+ +\d+\.\d", said)
    assert all(f"\n{tool}: " in said for tool in ("pandas", "polars", "datasets"))
    assert "304 with a gold label" in said


def test_the_example_of_a_pipeline(tmp_path):
    said = example("sklearn_pipeline.py", tmp_path)
    scores = {line[:25].strip(): float(line[25:]) for line in said.splitlines() if line.startswith(("t", "s", "b"))}
    assert scores["teacher, 150 labels"] > scores["student, 150 labels"]
    assert scores["student, distilled"] > scores["student, 150 labels"]
    assert scores["best of the search"] > 0.8
