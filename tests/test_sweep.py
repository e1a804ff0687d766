"""Sweeps: the students that ``train`` would make, each once, the best first, whatever fails or is interrupted.

Here they are trained in this process; ``test_sweep_processes.py`` has the processes.
"""

import json
import shutil
from concurrent.futures import Future

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import one_line_error
from safetensors.numpy import load_file
from small_sets import LABELS, TASK, TEXTS, cache_of, feature_set, taught, transfer_set, weights

from students import Student, evaluate, train
from students import _pool as pool_module
from students import search as search_module
from students.grid import candidates
from students.search import sweep
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, content_keys
from transferset.files import file_lock

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")
#: What all students here have in common.
TINY = {
    "hidden": 8,
    "vector-width": 8,
    "width": 8,
    "filters": 4,
    "student": ["bag"],
    "vectors": "random",
    "batch-size": 16,
    "learning-rate": 0.01,
    "epochs": 2,
    "dtype": "float32",
}


def chosen(*grids, draws=None):
    """The students of some grids, of which each has what is common where it says nothing else."""
    used = {"bag": (), "cnn": ("filters",), "bilstm": ("width",)}
    found = []
    for grid in grids:
        full = {**TINY, **grid}
        students = full["student"] if isinstance(full["student"], list) else [full["student"]]
        wanted = {name for each in students for name in used[each]}
        found.append({name: each for name, each in full.items() if name not in {"filters", "width"} - wanted})
    return candidates(found, draws)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    embedding = np.random.default_rng(0).normal(size=(len(TEXTS), 3)).astype(np.float32)
    return transfer_set(folder / "set"), cache_of(folder / "L", TEXTS, embedding=embedding)


@pytest.fixture
def dev(places):
    return Source(places[0].store.path.parent / "rows.jsonl")


class Here:
    """Stands in for the processes: work is done when it is handed in."""

    _processes = None

    def __init__(self, workers, context, begin, given):
        pool_module._seen = given[1]

    def submit(self, work, *given):
        future = Future()
        future.set_result(work(*given))
        return future

    def shutdown(self, **_):
        pass


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(pool_module, "ProcessPoolExecutor", Here)


@pytest.fixture
def trained(monkeypatch):
    """The names of the students that are worked on, each time."""
    names, work = [], pool_module._train

    def watched(candidate, *rest):
        names.append(candidate.name)
        return work(candidate, *rest)

    monkeypatch.setattr(pool_module, "_train", watched)
    return names


def table_of(out):
    return pq.read_table(out / "results.parquet").to_pylist()


def statuses(records):
    return sorted(record.status for record in records)


def by_name(records):
    return {record.name: record for record in records}


def same_students(one, other, names):
    for name in names:
        assert weights(one / name) == weights(other / name)
        configs = [(out / name / "config.json").read_bytes() for out in (one, other)]
        assert configs[0] == configs[1]


# What is trained.


def test_each_student_is_the_one_that_train_makes(places, tmp_path, dev):
    several = chosen(
        {"student": ["bag", "cnn", "bilstm"], "seed": [0, 1]},
        {"loss": "kl", "temperature": 3.0, "max-tokens": 2},
        {"loss": "cosine"},
        {"loss": "gold", "copies": 0, "weight-decay": 0.1},
    )
    assert len(several) == 9
    records = sweep(*places, several, tmp_path / "R", dev)
    assert statuses(records) == ["done"] * 9
    for each in several:
        parts = (each.architecture, each.objective, tmp_path / "one", each.training, each.reading, each.seed)
        _, metrics = train(*places, *parts, dev=dev)
        assert weights(tmp_path / "one") == weights(tmp_path / "R" / each.name)
        assert json.loads((tmp_path / "one" / "config.json").read_bytes()) == json.loads(
            (tmp_path / "R" / each.name / "config.json").read_bytes()
        )
        record = by_name(records)[each.name]
        assert (record.history, record.best_epoch) == (metrics["history"], metrics["best_epoch"])
        shutil.rmtree(tmp_path / "one")


def test_the_transfer_set_is_read_once_for_all_that_read_it_alike(places, tmp_path, monkeypatch):
    made, prepare = [], search_module.prepare
    monkeypatch.setattr(search_module, "prepare", lambda folder, *rest: made.append(folder) or prepare(folder, *rest))
    several = chosen({"student": ["bag", "cnn"], "seed": [0, 1, 2]}, {"max-tokens": 3}, {"loss": "cosine"})
    sweep(*places, several, tmp_path / "R")
    # Two ways to read, and one more signal.
    assert len(made) == 3
    assert sorted(made) == sorted((tmp_path / "R" / "_sweep").glob("data-*"))


def test_students_that_are_there_are_not_trained_again_and_more_can_be_added(places, tmp_path, trained, dev):
    few = chosen({"seed": [0, 1]})
    first = sweep(*places, few, tmp_path / "R", dev)
    assert sorted(trained) == sorted(each.name for each in few)
    before = (tmp_path / "R" / "results.parquet").read_bytes()
    trained.clear()
    assert sweep(*places, few, tmp_path / "R", dev) == first
    assert (trained, (tmp_path / "R" / "results.parquet").read_bytes()) == ([], before)
    more = chosen({"seed": [0, 1, 2]}, {"hidden": 4})
    records = sweep(*places, more, tmp_path / "R", dev)
    assert sorted(trained) == sorted({each.name for each in more} - {each.name for each in few})
    assert statuses(records) == ["done"] * 4
    assert all(by_name(records)[record.name] == record for record in first)
    assert len(table_of(tmp_path / "R")) == 4


def test_the_table_keeps_the_students_of_an_earlier_grid(places, tmp_path, dev):
    first = sweep(*places, chosen({"seed": [0, 1]}), tmp_path / "R", dev)
    second = sweep(*places, chosen({"hidden": [4, 5]}), tmp_path / "R", dev)
    assert not by_name(first).keys() & by_name(second).keys()
    rows = table_of(tmp_path / "R")
    assert {row["name"] for row in rows} == by_name(first).keys() | by_name(second).keys()
    assert [row["dev_accuracy"] for row in rows] == sorted((row["dev_accuracy"] for row in rows), reverse=True)
    # One whose directory is gone is not told of.
    shutil.rmtree(tmp_path / "R" / first[0].name)
    sweep(*places, chosen({"hidden": [4, 5]}), tmp_path / "R", dev)
    assert {row["name"] for row in rows} - {row["name"] for row in table_of(tmp_path / "R")} == {first[0].name}


def test_options_are_those_that_this_sweep_names(places, tmp_path):
    sweep(*places, chosen({}), tmp_path / "R")
    records = sweep(*places, chosen({"dropout": 0.1}), tmp_path / "R")
    assert [record.options["dropout"] for record in records] == [0.1]


def test_a_student_whose_directory_is_gone_is_trained_again(places, tmp_path, trained):
    (record,) = sweep(*places, chosen({}), tmp_path / "R")
    kept = weights(tmp_path / "R" / record.name)
    shutil.rmtree(tmp_path / "R" / record.name)
    sweep(*places, chosen({}), tmp_path / "R")
    assert trained == [record.name] * 2
    assert weights(tmp_path / "R" / record.name) == kept


@pytest.mark.parametrize("change", ["transfer", "cache", "dev", "label"])
def test_another_transfer_set_cache_or_dev_file_is_another_sweep(places, tmp_path, dev, change):
    """The names of the students are those of their settings: what was trained on other data must not stand for them."""
    sweep(*places, chosen({}), tmp_path / "R", dev)
    before = {path: path.read_bytes() for path in (tmp_path / "R").rglob("*") if path.is_file()}
    transfer, cache = places
    label = None
    if change == "transfer":
        transfer = transfer_set(tmp_path / "set", TEXTS[:30], LABELS[:30])
    elif change == "cache":
        cache = cache_of(tmp_path / "L", TEXTS, -taught(TEXTS), classes=("pos", "neg"))
    elif change == "dev":
        dev = None
    else:
        label = "label"
    with pytest.raises(
        StillhouseError, match=r"R: must be empty or a sweep of the same .*, got another's: use another"
    ):
        sweep(transfer, cache, chosen({}), tmp_path / "R", dev, label)
    assert {path: path.read_bytes() for path in (tmp_path / "R").rglob("*") if path.is_file()} == before


def test_progress_is_counted_in_rows(places, tmp_path):
    sweep(*places, chosen({"seed": [0, 1]}, {"holdout": 0.2, "epochs": 3}), tmp_path / "R")
    held = next(row["rows"] for row in table_of(tmp_path / "R") if row["epochs"] == 3)
    assert pool_module._seen.value == 2 * 2 * 50 + 3 * held


def test_tables_are_swept_too(tmp_path):
    transfer, cache = feature_set(tmp_path / "set")
    grid = {"student": "mlp", "width": 8, "layers": [1, 2], "epochs": 4, "batch-size": 16, "holdout": 0.3}
    records = sweep(transfer, cache, candidates([grid]), tmp_path / "R", test=Source(tmp_path / "set" / "rows.csv"))
    assert statuses(records) == ["done", "done"]
    rows = table_of(tmp_path / "R")
    assert [row["parameters"] for row in rows] == [row["parameters_without_vectors"] for row in rows]
    assert all(row["test_accuracy"] > 0.4 for row in rows)
    # One data set for both, and no vectors were wanted of the teacher, who has none.
    assert len(list((tmp_path / "R" / "_sweep").glob("data-*"))) == 1


# What it says.


def test_the_table_has_a_row_for_each_student_the_best_first(places, tmp_path, dev):
    several = chosen({"student": ["bag", "cnn"], "learning-rate": [0.001, 0.1], "epochs": 4})
    records = sweep(*places, several, tmp_path / "R", dev, test=dev)
    table = pq.read_table(tmp_path / "R" / "results.parquet")
    names = table.column_names
    options = [
        "student",
        "hidden",
        "vector_width",
        "batch_size",
        "learning_rate",
        "epochs",
        "dtype",
        "vectors",
        "filters",
    ]
    measured = ["loss", "accuracy", "f1", "mcc", "agreement"]
    assert names[:2] == ["name", "status"]
    assert sorted(names[2 : names.index("epoch")]) == sorted(options)
    assert names[names.index("epoch") : names.index("dev_loss")] == ["epoch", "trained_epochs", "train_loss"]
    assert [name for name in names if name.startswith("dev_")] == [f"dev_{name}" for name in measured]
    assert {f"test_{name}" for name in ("accuracy", "f1", "mcc")} <= set(names)
    assert names[-6:] == ["parameters", "parameters_without_vectors", "bytes", "rows", "seconds", "error"]
    rows = table.to_pylist()
    assert [row["name"] for row in rows] == [record.name for record in records]
    accuracies = [row["dev_accuracy"] for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(set(accuracies)) > 1
    for row in rows:
        folder = tmp_path / "R" / row["name"]
        found = load_file(folder / "model.safetensors")
        assert row["parameters"] == sum(each.size for each in found.values())
        assert row["parameters_without_vectors"] == row["parameters"] - found["vectors.weight"].size
        assert row["bytes"] == (folder / "model.safetensors").stat().st_size
        assert (row["trained_epochs"], row["rows"], row["error"], row["status"]) == (4, 50, "", "done")
        metrics = json.loads((folder / "metrics.json").read_bytes())
        best = metrics["history"][row["epoch"] - 1]
        assert (row["epoch"], row["train_loss"]) == (metrics["best_epoch"], best["loss"])
        assert all(row[f"dev_{name}"] == best[f"dev_{name}"] for name in measured)
        figures = evaluate(Student.load(folder), dev, resamples=0)
        assert row["test_accuracy"] == figures["accuracy"] == row["dev_accuracy"]


def test_where_less_is_better_the_least_is_first(places, tmp_path, dev):
    several = chosen({"learning-rate": [0.001, 0.1, 0.01], "monitor": "loss"})
    losses = [
        record.history[record.best_epoch - 1]["dev_loss"] for record in sweep(*places, several, tmp_path / "R", dev)
    ]
    assert losses == sorted(losses)
    assert [row["dev_loss"] for row in table_of(tmp_path / "R")] == losses


def test_without_rows_to_watch_the_order_is_that_of_the_candidates(places, tmp_path):
    several = chosen({"learning-rate": [0.001, 0.1, 0.01]})
    assert [record.name for record in sweep(*places, several, tmp_path / "R")] == [each.name for each in several]
    assert not [name for name in table_of(tmp_path / "R")[0] if name.startswith("dev_")]


def test_options_of_several_types_share_a_column(places, tmp_path):
    several = chosen({"copies": 0}, {"patience": 1, "holdout": 0.2, "augmenters": "none"})
    sweep(*places, several, tmp_path / "R")
    found = {tuple(row[name] for name in ("copies", "patience", "augmenters")) for row in table_of(tmp_path / "R")}
    assert found == {(0, None, None), (None, 1, "none")}


def test_one_that_fails_does_not_stop_the_others(places, tmp_path, dev):
    several = chosen({"learning-rate": [0.01, 1e30, 0.02]})
    records = sweep(*places, several, tmp_path / "R", dev)
    assert statuses(records) == ["done", "done", "failed"]
    # What failed is last, and says why.
    assert records[-1].options["learning_rate"] == 1e30
    assert "train: loss must be finite, got " in records[-1].error
    last = table_of(tmp_path / "R")[-1]
    assert (last["status"], last["error"]) == ("failed", records[-1].error)
    assert [last[name] for name in ("epoch", "dev_accuracy", "parameters")] == [None, None, None]


def test_one_that_is_too_large_does_not_stop_the_others(places, tmp_path):
    # Of so many units torch cannot have the memory, on no machine.
    records = sweep(*places, chosen({"hidden": [4, 10**12]}), tmp_path / "R")
    assert statuses(records) == ["done", "failed"]
    assert "must have sizes that fit into memory" in records[1].error


@pytest.mark.parametrize("halving", [None, 2])
def test_where_all_fail_it_is_said_of_each(places, tmp_path, dev, halving):
    several = chosen({"learning-rate": 1e30, "seed": [0, 1, 2, 3]})
    records = sweep(*places, several, tmp_path / "R", dev, halving=halving)
    assert statuses(records) == ["failed"] * 4
    assert all("loss must be finite" in record.error for record in records)
    assert len(table_of(tmp_path / "R")) == 4


def test_one_that_failed_is_tried_again(places, tmp_path, trained):
    several = chosen({"learning-rate": 1e30})
    for _ in range(2):
        sweep(*places, several, tmp_path / "R")
    assert len(trained) == 2


# Successive halving.


NINE = {"learning-rate": [1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1], "epochs": 9, "monitor": "loss"}


def test_halving_goes_on_with_the_best_and_stops_the_others(places, tmp_path, dev):
    several = chosen(NINE)
    records = sweep(*places, several, tmp_path / "R", dev, halving=3)
    assert sorted(len(record.history) for record in records) == [1] * 6 + [3] * 2 + [9]
    assert statuses(records) == ["done"] + ["stopped"] * 8
    assert records[0].status == "done"
    # The first epoch of each is that of a run to the end, and who was stopped was worse in it.
    whole = by_name(sweep(*places, several, tmp_path / "W", dev))
    for record in records:
        assert list(record.history) == list(whole[record.name].history)[: len(record.history)]
    first = sorted(whole.values(), key=lambda record: record.history[0]["dev_loss"])
    assert {record.name for record in records if len(record.history) > 1} == {record.name for record in first[:3]}
    third = sorted(first[:3], key=lambda record: min(row["dev_loss"] for row in record.history[:3]))
    assert records[0].name == third[0].name
    same_students(tmp_path / "R", tmp_path / "W", [records[0].name])
    # Of those that were stopped nothing is left but what is noted.
    kept = [path.name for path in (tmp_path / "R").iterdir() if path.is_dir() and path.name != "_sweep"]
    assert kept == [records[0].name]
    rows = table_of(tmp_path / "R")
    assert [row["trained_epochs"] for row in rows if row["status"] == "stopped"] == [3] * 2 + [1] * 6


def test_of_few_epochs_there_are_few_rounds(places, tmp_path, dev):
    # Nine candidates and three epochs: one round after the first epoch, not two.
    records = sweep(*places, chosen({**NINE, "epochs": 3}), tmp_path / "R", dev, halving=3)
    assert sorted(len(record.history) for record in records) == [1] * 6 + [3] * 3


def test_halving_is_the_same_each_time_and_a_finished_one_trains_nothing(places, tmp_path, dev, trained):
    records = sweep(*places, chosen(NINE), tmp_path / "R", dev, halving=3)
    again = sweep(*places, chosen(NINE), tmp_path / "S", dev, halving=3)
    assert [(each.name, each.status, each.history) for each in records] == [
        (each.name, each.status, each.history) for each in again
    ]
    trained.clear()
    assert sweep(*places, chosen(NINE), tmp_path / "R", dev, halving=3) == records
    assert trained == []


@pytest.mark.parametrize("stop_at", [2, 9, 11, 13])
def test_halving_that_is_interrupted_ends_as_if_it_had_not_been(places, tmp_path, dev, monkeypatch, stop_at):
    work, calls = pool_module._train, []

    def dies(*given):
        calls.append(given)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return work(*given)

    with monkeypatch.context() as patch:
        patch.setattr(pool_module, "_train", dies)
        with pytest.raises(KeyboardInterrupt):
            sweep(*places, chosen(NINE), tmp_path / "R", dev, halving=3)
    assert not (tmp_path / "R" / "results.parquet").exists()
    records = sweep(*places, chosen(NINE), tmp_path / "R", dev, halving=3)
    whole = sweep(*places, chosen(NINE), tmp_path / "W", dev, halving=3)
    assert [(each.name, each.status, each.history) for each in records] == [
        (each.name, each.status, each.history) for each in whole
    ]
    same_students(tmp_path / "R", tmp_path / "W", [records[0].name])


def test_halving_passes_over_what_fails(places, tmp_path, dev):
    several = chosen({**NINE, "learning-rate": [1e-5, 1e30, 1e-3, 1e29]})
    records = sweep(*places, several, tmp_path / "R", dev, halving=2)
    assert statuses(records) == ["done", "failed", "failed", "stopped"]
    assert (records[0].options["learning_rate"], len(records[0].history)) == (1e-3, 9)


def test_patience_may_end_a_student_before_halving_does(places, tmp_path, dev):
    several = chosen({**NINE, "learning-rate": [1e-9, 0.01, 0.03, 0.02], "monitor": "accuracy", "patience": 1})
    records = sweep(*places, several, tmp_path / "R", dev, halving=2)
    flat = next(record for record in records if record.options["learning_rate"] == 1e-9)
    assert len(flat.history) == 2
    assert flat.status in ("done", "stopped")


@pytest.mark.parametrize("several", [chosen({}), chosen({"seed": [0, 1]})])
def test_halving_of_fewer_than_it_divides_by_trains_all_to_the_end(places, tmp_path, dev, several):
    assert statuses(sweep(*places, several, tmp_path / "R", dev, halving=3)) == ["done"] * len(several)


def test_halving_without_a_metric_for_all_is_refused(places, tmp_path, dev):
    several = chosen({"seed": [0, 1]})
    with pytest.raises(StillhouseError, match="halving must have rows to watch and one dev metric for all students"):
        sweep(*places, several, tmp_path / "R", halving=2)
    several = chosen({"monitor": ["loss", "accuracy"]})
    with pytest.raises(StillhouseError, match="halving must have rows to watch and one dev metric for all students"):
        sweep(*places, several, tmp_path / "S", dev, halving=2)
    # Held-out rows will do.
    records = sweep(*places, chosen({"holdout": 0.3, "seed": [0, 1]}), tmp_path / "H", halving=2)
    assert statuses(records) == ["done", "stopped"]


# What is refused, before any work.


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr(pool_module, "_train", None)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("grid", "options", "message"),
    [
        ({}, {"workers": 0}, "sweep: workers must be at least 1, got 0"),
        ({}, {"halving": 1}, "sweep: halving must be at least 2, got 1"),
        ({"augmenters": "mlm"}, {}, r"augmenters must be those of the transfer set \(none\), got 'mlm'"),
        ({"patience": 2}, {}, "patience and monitor must have rows to watch, got none"),
        ({"tokens": "pieces", "vectors": "teacher"}, {}, "must hold the teacher's embeddings, got none"),
        ({"vectors": "none.txt"}, {}, r"none\.txt: must be a GloVe or word2vec file, got nothing there"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(places, tmp_path, grid, options, message):
    with pytest.raises(StillhouseError, match=message) as refused:
        sweep(*places, chosen(grid), tmp_path / "R", **options)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("no_work")
def test_students_that_do_not_fit_the_task_are_refused(tmp_path):
    task = Task("text", ("text",), "label", "regression")
    transfer = transfer_set(tmp_path / "set", labels=[n / 7 for n in range(50)], task=task)
    cache = cache_of(tmp_path / "L", TEXTS, taught(TEXTS, 1), task)
    with pytest.raises(StillhouseError, match="loss kl: must be given classification or multilabel, got regression"):
        sweep(transfer, cache, chosen({}, {"loss": "kl"}), tmp_path / "R")
    with pytest.raises(StillhouseError, match="sweep: must have students to train, got none"):
        sweep(transfer, cache, [], tmp_path / "R")
    assert not (tmp_path / "R").exists()


@pytest.mark.usefixtures("no_work")
def test_a_place_that_holds_something_else_is_left_alone(places, tmp_path):
    (tmp_path / "R").mkdir()
    (tmp_path / "R" / "thesis.txt").write_text("years of work")
    with pytest.raises(StillhouseError, match=r"must be empty or a sweep's directory, got 'thesis\.txt' in it"):
        sweep(*places, chosen({}), tmp_path / "R")
    assert [path.name for path in (tmp_path / "R").iterdir()] == ["thesis.txt"]
    with pytest.raises(StillhouseError, match="must be a directory, got a file"):
        sweep(*places, chosen({}), tmp_path / "R" / "thesis.txt")


@pytest.mark.usefixtures("no_work")
def test_a_directory_that_another_sweep_works_in_is_refused(places, tmp_path):
    with (
        file_lock(tmp_path / "R" / "_sweep" / "lock", "exclusive"),
        pytest.raises(StillhouseError, match="R: must not be in use, got another process writing to it"),
    ):
        sweep(*places, chosen({}), tmp_path / "R")


def labelled(path, column="label", labels=("pos", "neg", "pos")):
    lines = [f"{text},{label}" for text, label in zip(("good film", "bad film", "good plot"), labels, strict=True)]
    path.write_text("\n".join([f"text,{column}", *lines]) + "\n")
    return Source(path)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("test", "grid", "message"),
    [
        ({"labels": ("pos", "neg", "meh")}, {}, "row 3, column 'label' must hold one of .*neg, pos.* got 'meh'"),
        ({"column": "stars"}, {}, "column: must be one of text, stars, got 'label'"),
        ({}, {"loss": "cosine"}, "test must be for students of logits, got loss cosine"),
    ],
)
def test_a_test_file_that_does_not_fit_is_refused_before_any_work(places, tmp_path, test, grid, message):
    with pytest.raises(StillhouseError, match=message):
        sweep(*places, chosen(grid), tmp_path / "R", test=labelled(tmp_path / "test.csv", **test))


def test_the_label_of_the_test_file_is_the_one_that_is_named(tmp_path):
    transfer = transfer_set(tmp_path / "set", task=Task("text", ("text",)))
    cache = cache_of(tmp_path / "L", TEXTS, classes=TASK.classes)
    dev, test = (labelled(tmp_path / f"{name}.csv", "mood") for name in ("dev", "test"))
    sweep(transfer, cache, chosen({}), tmp_path / "R", dev, "mood", test)
    (row,) = table_of(tmp_path / "R")
    assert row["test_accuracy"] == row["dev_accuracy"]


def test_dev_rows_that_are_labelled_later_can_be_watched(tmp_path):
    """The advice of the error helps, though the data set of a sweep is kept."""
    transfer, cache = transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)
    dev = labelled(tmp_path / "dev.csv")
    with pytest.raises(StillhouseError, match="need what the teacher says of the dev rows: label them too"):
        sweep(transfer, cache, chosen({"monitor": "loss"}), tmp_path / "R", dev)
    texts = ["good film", "bad film", "good plot"]
    cache.append(content_keys(TASK, pa.table({"text": texts})), {"logits": taught(texts)})
    (record,) = sweep(transfer, LogitCache.open(tmp_path / "L"), chosen({"monitor": "loss"}), tmp_path / "R", dev)
    assert "dev_loss" in record.history[0]


# The command.


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the command line in this process."""
    import subprocess
    import sys

    from stillhouse.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["stillhouse", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, left.value.code or 0, out.encode(), err.encode())

    return call


TOML = """
hidden = 8
vector-width = 8
vectors = "random"
batch-size = 16
epochs = 2
dtype = "float32"
student = "bag"
"""


def test_the_command_prints_what_tells_the_students_apart(run, places, tmp_path, dev):
    (tmp_path / "grid.toml").write_text(TOML + "learning-rate = [0.001, 0.1]\nseed = [0, 1]\n")
    transfer, cache = (each.path for each in (places[0].store, places[1]))
    arguments = ("sweep", transfer, cache, "--grid", tmp_path / "grid.toml", "--out", tmp_path / "R", "--dev", dev.path)
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    shown = ["name", "status", "seed", "learning_rate", "dev_accuracy", "dev_f1", "dev_agreement", "seconds"]
    assert lines[0].split() == shown
    assert [line.split()[0] for line in lines[1:5]] == [row["name"] for row in table_of(tmp_path / "R")]
    assert lines[5] == f"{tmp_path / 'R' / 'results.parquet'}: 4 students"
    assert run(*arguments).stdout == done.stdout
    assert run("show", tmp_path / "R").stdout == done.stdout
    shown_as_json = json.loads(run("show", tmp_path / "R", "--json").stdout)
    assert (shown_as_json["kind"], shown_as_json["students"]) == ("sweep", table_of(tmp_path / "R"))
    for data in (b"", b"nonsense" * 9):
        (tmp_path / "R" / "results.parquet").write_bytes(data)
        assert "results.parquet: must be the results of a sweep" in one_line_error(run("show", tmp_path / "R"))


def test_the_command_says_what_failed_and_keeps_the_rest(run, places, tmp_path):
    (tmp_path / "grid.toml").write_text(TOML + "learning-rate = [0.01, 1e30]\n")
    transfer, cache = (each.path for each in (places[0].store, places[1]))
    done = run("sweep", transfer, cache, "--grid", tmp_path / "grid.toml", "--out", tmp_path / "R")
    assert "R: 1 of 2 students failed, the first: train: loss must be finite" in one_line_error(done)
    assert sorted(row["status"] for row in table_of(tmp_path / "R")) == ["done", "failed"]
    assert b"done" in done.stdout


@pytest.mark.parametrize(
    ("toml", "arguments", "says"),
    [
        (None, (), "grid.toml: must be a TOML file of options: No such file"),
        ("x = [", (), "grid.toml: must be TOML: "),
        ("student = 'bilstn'", (), "did you mean 'bilstm'?"),
        ("learning-rat = 1", (), "did you mean 'learning_rate'?"),
        ("dropout = {low = 0.1, high = 0.2}", (), "say how many to draw with --random N"),
        ("", ("--random", 0), "random must be at least 1, got 0"),
        ("", ("--halving", 1), "halving must be at least 2, got 1"),
        ("", ("--workers", 0), "workers must be at least 1, got 0"),
        ("", ("--dev", "none.csv"), "none.csv: must be a file or a directory of Parquet, got nothing there"),
        ("", ("--test", "none.csv"), "none.csv: must be a file or a directory of Parquet, got nothing there"),
        ("", ("--halving", 2), "halving must have rows to watch"),
    ],
)
@pytest.mark.usefixtures("no_work")
def test_mistakes_are_one_line(run, places, tmp_path, toml, arguments, says):
    if toml is not None:
        (tmp_path / "grid.toml").write_text("vectors = 'random'\n" + toml)
    transfer, cache = (each.path for each in (places[0].store, places[1]))
    done = run("sweep", transfer, cache, "--grid", tmp_path / "grid.toml", "--out", tmp_path / "R", *arguments)
    assert says in one_line_error(done)
    assert not (tmp_path / "R" / "results.parquet").exists()


def test_what_is_no_transfer_set_or_no_cache_is_one_line(run, places, tmp_path):
    (tmp_path / "grid.toml").write_text("")
    transfer, cache = (each.path for each in (places[0].store, places[1]))
    rest = ("--grid", tmp_path / "grid.toml", "--out", tmp_path / "R")
    assert "got a logit cache" in one_line_error(run("sweep", cache, transfer, *rest))
    assert "nothing there" in one_line_error(run("sweep", transfer, tmp_path / "none", *rest))
    assert isinstance(places[0], TransferSet)
