"""The random control: every column keeps its distribution and nothing else is kept."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import chi2_contingency, chisquare

from augment import augment
from augment._corpus import Corpus
from augment._features import FeatureDraft
from augment._rows import all_copies
from augment.random import Random
from transferset import Source, Task, feature_types, read_rows


def randomised(table, copies=1, seed=0, block_rows=None, copy_of=None):
    """All copies of all rows, unchanged ones and duplicates and all, in order of row and copy."""
    task = Task("features", tuple(table.column_names))
    numbered = table.append_column("source", pa.array(np.arange(len(table))))
    each = block_rows or len(table)
    corpus = Corpus.in_memory(task, [numbered.slice(start, each) for start in range(0, len(table), each)])
    step = Random().fit(corpus)
    made = []
    for index in range(corpus.blocks):
        rows = corpus.rows(index)
        drawn_up = copy_of or all_copies(len(rows), copies)
        draft = FeatureDraft(rows["source"][0].as_py(), rows.select(table.column_names), *drawn_up, seed)
        step(draft)
        made.append(pa.table(draft.columns, names=table.column_names))
    return pa.concat_tables(made).combine_chunks()


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(0)
    rows = 400
    kind = random.choice(["a", "b", "c"], rows, p=[0.7, 0.2, 0.1])
    columns = {
        "kind": pa.array(kind, mask=random.random(rows) < 0.2),
        "same": pa.array(kind),
        "count": pa.array(random.integers(0, 5, rows)),
        "flag": pa.array(random.random(rows) < 0.25),
        "size": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.5),
    }
    return pa.table(columns)


@pytest.mark.parametrize("name", ["kind", "same", "count", "flag"])
def test_values_are_as_frequent_as_in_the_source_missing_ones_too(table, name):
    made = randomised(table, copies=50)
    counts = {each["values"]: each["counts"] for each in pc.value_counts(made[name]).to_pylist()}
    expected = {each["values"]: each["counts"] * 50 for each in pc.value_counts(table[name]).to_pylist()}
    assert counts.keys() == expected.keys()
    # One fixed seed: a p-value this low is a fault, not chance.
    assert chisquare([counts[value] for value in expected], list(expected.values())).pvalue > 1e-3


def test_missing_numbers_are_drawn_as_any_others(table):
    made = randomised(table, copies=50)
    share, rows = table["size"].null_count / len(table), len(made)
    assert abs(made["size"].null_count - rows * share) < 4 * np.sqrt(rows * share * (1 - share))
    assert pc.all(pc.is_in(made["size"], value_set=table["size"])).as_py()


def test_columns_become_independent_of_one_another_and_of_the_row(table):
    made = randomised(table.append_column("twin", table["same"]), copies=50)
    for name in ("twin", "kind", "flag"):
        both = pa.table({"x": made["same"], "y": made[name].cast(pa.string()).fill_null("missing")})
        counts = both.to_pandas().value_counts().unstack(fill_value=0)
        assert chi2_contingency(counts).pvalue > 1e-3
    before = np.repeat(table["count"].to_numpy(), 50)
    assert abs(np.corrcoef(before, made["count"].to_numpy())[0, 1]) < 4 / np.sqrt(len(before))


def test_every_value_can_be_drawn_the_first_and_the_last_too():
    made = randomised(pa.table({"x": np.arange(10)}), copies=2000)
    assert chisquare(np.bincount(made["x"].to_numpy(), minlength=10)).pvalue > 1e-3


def test_types_stay(table):
    assert randomised(table, copies=2).schema == table.schema


def test_blocks_and_the_copies_asked_for_do_not_matter(table):
    whole = randomised(table, copies=3, seed=5)
    assert randomised(table, copies=3, seed=5).equals(whole)
    assert randomised(table, copies=3, seed=5, block_rows=37).equals(whole)
    assert not randomised(table, copies=3, seed=6).equals(whole)
    some = randomised(table, seed=5, copy_of=(np.array([3, 3, 9]), np.array([1, 3, 2], np.int32)))
    assert some.equals(whole.take(pa.array([9, 11, 28])))


def test_only_cells_that_change_are_edits(table):
    made = augment(table, [Random()], copies=2)
    copies = made.filter(pc.field("copy") > 0)
    originals = table.take(copies["source"])
    for row, edits in enumerate(copies["edits"].to_pylist()):
        changed = [n for n, name in enumerate(table.column_names) if copies[name][row] != originals[name][row]]
        assert [edit["input"] for edit in edits] == changed
        assert {edit["rule"] for edit in edits} == {"random"}


def test_adult_keeps_its_columns(shared):
    source = Source(shared / "data" / "adult" / "adult.csv")
    task = Task("features", tuple(name for name in source.columns() if name != "income-per-year"))
    rows = list(read_rows(source, task, feature_types(source, task)))
    table = pa.Table.from_batches(rows)
    made = randomised(table)
    assert made.schema == table.schema
    for name in table.column_names:
        assert pc.all(pc.is_in(made[name].drop_null(), value_set=pc.unique(table[name]))).as_py()
        share, count = table[name].null_count / len(table), made[name].null_count
        assert abs(count - len(table) * share) <= 4 * np.sqrt(len(table) * share * (1 - share))


@pytest.mark.parametrize("values", [[1.5], [None, 2], ["a", None], [True, False], [2**63 - 1, -(2**63)]])
def test_small_tables_work(values):
    table = pa.table({"x": pa.array(values)})
    made = randomised(table, copies=20)
    assert made.schema == table.schema
    assert set(made["x"].to_pylist()) == set(values)
