"""Reading the source: every row checked, blocks within their bounds, classes and fingerprint learned on the way."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augment import Mask, Ngram, augment_file
from augment import _ingest as module
from augment._ingest import cut, ingest
from transferset import Source, StillhouseError, Task, content_keys

TEXT = Task("text", ("text",), "label")
STEPS = [Mask(rate=0.4), Ngram()]


def rows_of(count):
    return [{"text": f"row {i} of {count} words", "label": ("neg", "pos")[i % 2]} for i in range(count)]


def write(path, rows):
    """The same rows in the format that the ending asks for."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return Source(path)


def ingested(source, tmp_path, task=TEXT, copies=2):
    folder = tmp_path / "blocks"
    folder.mkdir(exist_ok=True)
    return ingest(source, task, copies, folder, progress=False)


def blocks_in(folder, count):
    for index in range(count):
        with pa.OSFile(str(folder / f"block-{index:06d}.arrow")) as file:
            yield pa.ipc.open_file(file).read_all()


def test_blocks_hold_every_row_in_order_with_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", 100)
    rows = rows_of(1000)
    found = ingested(write(tmp_path / "films.csv", rows), tmp_path)
    blocks = list(blocks_in(tmp_path / "blocks", found.blocks))
    assert found.blocks > 1000 * 3 / 100 - 1
    assert all(len(block) * 3 <= 100 for block in blocks)
    whole = pa.concat_tables(blocks)
    assert whole["source"].to_pylist() == list(range(1000))
    assert whole.drop_columns(["source"]).to_pylist() == rows
    assert found.rows == 1000


def test_blocks_stay_below_their_bound_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 30_000)
    rows = [{"text": "long " * (i % 50), "label": "ab"[i % 2]} for i in range(2000)]
    found = ingested(write(tmp_path / "films.csv", rows), tmp_path)
    assert found.blocks > 5
    for block in blocks_in(tmp_path / "blocks", found.blocks):
        assert pa.compute.sum(pa.compute.binary_length(block["text"])).as_py() * 3 <= 30_000


def test_a_row_larger_than_a_block_is_a_block_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 3000)
    rows = [{"text": "w " * size, "label": "ab"[i % 2]} for i, size in enumerate([5, 5000, 5, 5, 5000])]
    found = ingested(write(tmp_path / "films.csv", rows), tmp_path)
    whole = pa.concat_tables(blocks_in(tmp_path / "blocks", found.blocks))
    assert whole["text"].to_pylist() == [row["text"] for row in rows]


@pytest.mark.parametrize("copies", [0, 1, 1_000_000])
def test_any_number_of_copies_makes_blocks_of_at_least_a_row(tmp_path, copies):
    found = ingested(write(tmp_path / "films.csv", rows_of(10)), tmp_path, copies=copies)
    assert found.blocks == (10 if copies == 1_000_000 else 1)
    assert found.rows == 10


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10), st.integers(1, 30))
@settings(deadline=None, max_examples=50)
def test_cutting_keeps_every_row(sizes, rows_each):
    values = iter(range(sum(sizes)))
    batches = [pa.record_batch({"text": [str(next(values)) for _ in range(size)]}) for size in sizes]
    tables = list(cut(iter(batches), rows_each))
    assert all(len(table) for table in tables)
    cells = [cell for table in tables for cell in table["text"].to_pylist()]
    assert cells == [str(i) for i in range(sum(sizes))]


def test_classes_are_learned_from_all_rows_and_sorted(tmp_path):
    rows = [{"text": f"t{i}", "label": str(i % 12)} for i in range(9000)] + [{"text": "last", "label": "-1"}]
    found = ingested(write(tmp_path / "films.csv", rows), tmp_path)
    assert found.task.classes == ("-1", *map(str, range(12)))


def test_classes_given_stay_in_their_order(tmp_path):
    task = Task("text", ("text",), "label", classes=("pos", "neg"))
    assert ingested(write(tmp_path / "films.csv", rows_of(10)), tmp_path, task).task.classes == ("pos", "neg")


def test_keys_are_those_of_the_originals(tmp_path):
    rows = [*rows_of(20), *rows_of(20)[:5]]
    found = ingested(write(tmp_path / "films.csv", rows), tmp_path)
    assert len(found.keys) == 20
    assert found.keys.contains(content_keys(TEXT, pa.Table.from_pylist(rows))).all()


# The fingerprint.


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_the_fingerprint_is_that_of_the_rows_and_not_of_the_file(tmp_path, ending):
    rows = rows_of(50)
    expected = ingested(write(tmp_path / "first.csv", rows), tmp_path).fingerprint
    assert ingested(write(tmp_path / f"second.{ending}", rows), tmp_path).fingerprint == expected


@pytest.mark.parametrize("size", [7, 30])
def test_the_fingerprint_does_not_depend_on_row_groups(tmp_path, size):
    rows = rows_of(50)
    expected = ingested(write(tmp_path / "first.parquet", rows), tmp_path).fingerprint
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "second.parquet", row_group_size=size)
    assert ingested(Source(tmp_path / "second.parquet"), tmp_path).fingerprint == expected


@pytest.mark.parametrize("size", [7, 30])
def test_the_fingerprint_does_not_depend_on_how_rows_are_spread_over_files(tmp_path, size):
    rows = rows_of(50)
    expected = ingested(write(tmp_path / "first.parquet", rows), tmp_path).fingerprint
    (tmp_path / "many").mkdir()
    for first in range(0, 50, size):
        pq.write_table(pa.Table.from_pylist(rows[first : first + size]), tmp_path / "many" / f"{first:02d}.parquet")
    assert ingested(Source(tmp_path / "many"), tmp_path).fingerprint == expected


@pytest.mark.parametrize("copies", [0, 3])
def test_the_fingerprint_does_not_depend_on_the_copies(tmp_path, copies):
    source = write(tmp_path / "films.csv", rows_of(50))
    expected = ingested(source, tmp_path, copies=1).fingerprint
    assert ingested(source, tmp_path, copies=copies).fingerprint == expected


def changes():
    """Every small thing that makes other rows."""
    rows = rows_of(50)
    swapped = [rows[1], rows[0], *rows[2:]]
    edited = [*rows[:30], {**rows[30], "text": rows[30]["text"] + " "}, *rows[31:]]
    relabelled = [*rows[:30], {**rows[30], "label": "pos" if rows[30]["label"] == "neg" else "neg"}, *rows[31:]]
    unlabelled = [*rows[:30], {**rows[30], "label": ""}, *rows[31:]]
    every = {"swapped": swapped, "edited": edited, "relabelled": relabelled, "unlabelled": unlabelled}
    return {**every, "shorter": rows[:-1], "repeated": [*rows, rows[-1]]}


@pytest.mark.parametrize("change", list(changes()))
def test_other_rows_have_another_fingerprint(tmp_path, change):
    before = ingested(write(tmp_path / "films.csv", rows_of(50)), tmp_path).fingerprint
    assert ingested(write(tmp_path / "films.csv", changes()[change]), tmp_path).fingerprint != before


# Bad input.


def assert_refused(source, task, out, message):
    """The one error, and nothing left where the set would have been."""
    with pytest.raises(StillhouseError) as error:
        augment_file(source, task, out, STEPS, copies=2)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not out.exists()


def test_a_short_row_in_the_middle_of_a_file_leaves_no_directory(tmp_path):
    lines = [f"row {i}\t{i % 2}" for i in range(20_000)]
    lines[15_000] = "no second column"
    path = tmp_path / "films.tsv"
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n")
    assert_refused(Source(path), TEXT, tmp_path / "out", "films.tsv: row 15001 must have 2 columns, got 1")


def test_a_null_text_in_the_middle_of_a_file_leaves_no_directory(tmp_path):
    rows = [*rows_of(12_000), {"text": None, "label": "pos"}, *rows_of(5)]
    source = write(tmp_path / "films.parquet", rows)
    assert_refused(source, TEXT, tmp_path / "out", "row 12001, column 'text' must hold text, got null")


def test_bytes_that_are_no_text_leave_no_directory(tmp_path):
    path = tmp_path / "films.tsv"
    path.write_bytes(b"text\tlabel\n" + b"fine film\tpos\n" * 9000 + b"bad \xff byte\tneg\n")
    assert_refused(Source(path), TEXT, tmp_path / "out", "row 9001, column 'text' must be valid text")


def test_a_label_that_is_no_class_leaves_no_directory(tmp_path):
    task = Task("text", ("text",), "label", classes=("neg", "pos"))
    source = write(tmp_path / "films.csv", [*rows_of(9000), {"text": "odd", "label": "maybe"}])
    assert_refused(source, task, tmp_path / "out", "row 9001, column 'label' must hold one of the classes neg, pos")


def test_an_unknown_column_leaves_no_directory(tmp_path):
    source = write(tmp_path / "films.csv", rows_of(5))
    assert_refused(source, Task("text", ("texts",)), tmp_path / "out", "got 'texts': did you mean 'text'?")


def test_one_class_leaves_no_directory(tmp_path):
    source = write(tmp_path / "films.csv", [{"text": "a", "label": "only"}] * 3)
    assert_refused(source, TEXT, tmp_path / "out", "must have at least 2 classes, got only")


@pytest.mark.parametrize("text", ["text,label\n", "text,label"])
def test_a_file_of_a_header_alone_leaves_no_directory(tmp_path, text):
    path = tmp_path / "films.csv"
    path.write_text(text)
    assert_refused(Source(path), TEXT, tmp_path / "out", "films.csv: must hold at least one row, got none")


def test_a_refused_source_leaves_what_was_in_out_before(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(StillhouseError, match=r"must be empty or a stillhouse directory, got 'mine\.txt' in it"):
        augment_file(write(tmp_path / "films.csv", rows_of(5)), TEXT, tmp_path / "out", STEPS)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_file_in_the_place_of_out_is_refused(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StillhouseError, match="must be a directory, got a file"):
        augment_file(write(tmp_path / "films.csv", rows_of(5)), TEXT, tmp_path / "out", STEPS)
    assert (tmp_path / "out").read_text() == "mine"
