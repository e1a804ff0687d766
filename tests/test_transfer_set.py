"""A transfer set: refused until it is finished, and verified row by row against its keys."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from transferset import StillhouseError, Store, Task, TransferSet, content_keys, keys_to_arrow
from transferset.transfer_set import EDIT, KIND

TASKS = {
    "text": Task("text", ("a",), "label", classes=("neg", "pos")),
    "pair": Task("pair", ("a", "b"), "label", classes=("neg", "pos")),
    "features": Task("features", ("a", "n", "x"), "label", classes=("neg", "pos")),
}
every_kind = pytest.mark.parametrize("kind", TASKS)


def rows(task, first, count=4):
    """Rows as a transfer set has them, with the keys of their inputs."""
    number = np.arange(first, first + count)
    columns = {
        "a": pa.array([f"text {i}" for i in number], pa.string()),
        "b": pa.array([f"other {i}" for i in number], pa.string()),
        "n": pa.array(number),
        "x": pa.array(number / 2),
        "label": pa.array(["pos" if i % 2 else None for i in number], pa.string()),
        "source": pa.array(number),
        "copy": pa.array(np.zeros(count), pa.int32()),
    }
    columns["edits"] = pa.array([[]] * count, pa.list_(EDIT))
    table = pa.table(columns).select([*task.columns, "source", "copy", "edits"])
    return with_keys(table, content_keys(task, table))


def with_keys(table, keys):
    return table.append_column("key", keys_to_arrow(keys))


def new_store(path, task, parts=3):
    return Store.create(path, KIND, {"task": task.to_json(), "mask_token": "[MASK]", "parts": parts}, {})


def finished(path, task):
    """Three parts of four rows, committed last first."""
    store = new_store(path, task)
    for slot in (2, 1, 0):
        store.commit(rows(task, 4 * slot), {}, slot=slot)
    return store


def finished_but_for(path, task, table):
    """A set whose middle part holds these rows."""
    store = new_store(path, task)
    parts = [store.commit(each, {}) for each in (rows(task, 0), table, rows(task, 8))]
    return TransferSet.open(path), parts[1]


@every_kind
def test_a_finished_set_reads_back_in_order_of_its_rows(tmp_path, kind):
    finished(tmp_path, TASKS[kind])
    transfer = TransferSet.open(tmp_path)
    assert transfer.task == TASKS[kind]
    assert transfer.mask_token == "[MASK]"
    assert pa.concat_tables(transfer.tables()).equals(rows(TASKS[kind], 0, 12))
    assert [table.column_names for table in transfer.tables(["label", "key"])] == [["label", "key"]] * 3
    assert transfer.verify() == []


def test_an_unfinished_set_is_refused_with_the_command_that_finishes_it(tmp_path):
    store = new_store(tmp_path, TASKS["text"])
    store.commit(rows(TASKS["text"], 4), {}, slot=1)
    with pytest.raises(StillhouseError, match="2 of 3 parts are missing: run the same `stillhouse augment` again"):
        TransferSet.open(tmp_path)
    # What verifies a directory opens it without asking whether it is finished, and then says so.
    (problem,) = TransferSet(store).verify()
    assert "must have 3 parts, 2 are missing" in problem
    store.commit(rows(TASKS["text"], 0), {}, slot=0)
    with pytest.raises(StillhouseError, match="1 of 3 parts are missing"):
        TransferSet.open(tmp_path)
    store.commit(rows(TASKS["text"], 8), {}, slot=2)
    assert TransferSet.open(tmp_path).verify() == []


@every_kind
@pytest.mark.parametrize("row", [0, 3])
def test_verify_finds_a_row_whose_key_is_not_that_of_its_inputs(tmp_path, kind, row):
    table = rows(TASKS[kind], 4)
    # One bit of the second half; the checksum of the part is right.
    keys = content_keys(TASKS[kind], table).copy()
    keys[row, 1] ^= np.uint64(1)
    transfer, part = finished_but_for(tmp_path, TASKS[kind], with_keys(table.drop_columns("key"), keys))
    (problem,) = transfer.verify()
    assert problem == f"{tmp_path / part.file}: key of row {row} must be that of its inputs"


@every_kind
def test_verify_finds_inputs_that_were_changed_under_their_keys(tmp_path, kind):
    task = TASKS[kind]
    table = rows(task, 4)
    name = task.inputs[-1]
    changed = table.set_column(table.column_names.index(name), name, table[name].take(pa.array([0, 1, 3, 3])))
    transfer, part = finished_but_for(tmp_path, task, changed)
    (problem,) = transfer.verify()
    assert problem == f"{tmp_path / part.file}: key of row 2 must be that of its inputs"


def test_verify_does_not_mind_labels_and_finds_every_part_with_a_wrong_key(tmp_path):
    task = TASKS["text"]
    store = new_store(tmp_path, task)
    first_two = [rows(task, 0), rows(task, 4)]
    swapped = [with_keys(each.drop_columns("key"), content_keys(task, each)[::-1]) for each in first_two]
    relabelled = rows(task, 8).set_column(1, "label", pa.array(["neg"] * 4))
    parts = [store.commit(each, {}) for each in (*swapped, relabelled)]
    problems = TransferSet.open(tmp_path).verify()
    assert [part.file in problem for part, problem in zip(parts[:2], problems, strict=True)] == [True, True]


def test_verify_reports_damage_before_it_looks_at_keys(tmp_path):
    store = finished(tmp_path, TASKS["text"])
    part = store.parts()[1]
    with (tmp_path / part.file).open("ab") as file:
        file.write(b"\0")
    (problem,) = TransferSet.open(tmp_path).verify()
    assert part.file in problem
    assert "must have checksum" in problem


def test_a_set_without_rows_is_sound(tmp_path):
    new_store(tmp_path, TASKS["features"], parts=1).commit(rows(TASKS["features"], 0, 0), {})
    assert TransferSet.open(tmp_path).verify() == []


def test_a_logit_cache_is_not_opened_as_a_transfer_set(tmp_path):
    Store.create(tmp_path, "logit cache", {}, {})
    with pytest.raises(StillhouseError, match="must be a transfer set, got a logit cache"):
        TransferSet.open(tmp_path)
    with pytest.raises(StillhouseError, match="got nothing there: make one with `stillhouse augment`"):
        TransferSet.open(tmp_path / "none")


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"task": TASKS["text"].to_json()},
        {"task": {}, "mask_token": None},
        {"task": {"kind": "text", "inputs": ["a"], "colour": "red"}, "mask_token": None},
        {"task": "text", "mask_token": None},
        {"task": None, "mask_token": None},
    ],
    ids=str,
)
def test_a_description_that_is_none_of_a_transfer_set_is_refused(tmp_path, about):
    Store.create(tmp_path, KIND, about, {})
    with pytest.raises(StillhouseError, match=r"about\.json must describe a transfer set"):
        TransferSet.open(tmp_path)
