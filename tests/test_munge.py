"""MUNGE: the nearest rows, what a pass does to them, and that it is what visits one after the other would do."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest
from sklearn.neighbors import NearestNeighbors

from augment import _neighbours, augment, augment_file
from augment._corpus import Corpus
from augment._draws import position_draws, row_draws
from augment._features import FeatureDraft
from augment._neighbours import nearest_neighbours
from augment._rows import all_copies
from augment.munge import Munge, levels
from transferset import Source, StillhouseError, Task, feature_types, read_rows


def corpus_of(table, categorical=(), block_rows=None):
    """A table as a corpus of blocks."""
    task = Task("features", tuple(table.column_names), categorical=categorical)
    table = table.append_column("source", pa.array(np.arange(len(table))))
    each = block_rows or max(1, len(table))
    return Corpus.in_memory(task, [table.slice(start, each) for start in range(0, len(table), each)])


def munged(table, munge, copies=1, seed=0, categorical=(), block_rows=None):
    """The copies after MUNGE, copy by copy, unchanged rows and duplicates and all."""
    corpus = corpus_of(table, categorical, block_rows)
    step = munge.fit(corpus)
    made = []
    for index in range(corpus.blocks):
        rows = corpus.rows(index)
        row, copy = all_copies(len(rows), copies)
        draft = FeatureDraft(rows["source"][0].as_py(), rows.select(table.column_names), row, copy, seed)
        step(draft)
        made.append(pa.table([*draft.columns, pa.array(copy)], names=[*table.column_names, "copy"]))
    made = pa.concat_tables(made).combine_chunks()
    return [made.filter(pc.field("copy") == copy).drop_columns("copy") for copy in range(1, copies + 1)]


def random_table(random, rows):
    """Columns of every type, with missing cells and rows that come again."""
    columns = {
        "float": random.normal(size=rows).round(2),
        "grid": random.integers(0, 4, rows) / 4.0,
        "int": random.integers(-5, 20, rows),
        "bool": random.random(rows) < 0.3,
        "string": random.choice(["a", "b", "c", "é"], rows),
        "zip": random.choice([10, 200, 3000], rows),
    }
    table = pa.table({name: pa.array(x, mask=random.random(rows) < 0.15) for name, x in columns.items()})
    return table.take(pa.array(random.integers(0, rows, rows)))


# The nearest rows.


def coded(table, categorical=()):
    """Cells as floats, and which columns are nominal."""
    nominal = [
        n in categorical or not (pa.types.is_floating(table[n].type) or pa.types.is_integer(table[n].type))
        for n in table.column_names
    ]
    cells = []
    for name, codes in zip(table.column_names, nominal, strict=True):
        column = table[name].combine_chunks()
        column = column.dictionary_encode().indices if codes else column
        cells.append(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return np.array(cells).T, np.array(nominal)


def plain_neighbours(cells, nominal):
    """All distances, one by one."""
    rows = len(cells)
    low, high = [], []
    for column in cells.T:
        known = column[~np.isnan(column)]
        low.append(known.min() if len(known) else 0.0)
        high.append(known.max() if len(known) else 0.0)
    found = []
    for i in range(rows):
        best = None
        for step in range(1, rows):
            j, total = (i + step) % rows, 0.0
            for a in range(len(nominal)):
                x, y = cells[i, a], cells[j, a]
                if np.isnan(x) or np.isnan(y):
                    total += float(np.isnan(x) != np.isnan(y))
                elif nominal[a]:
                    total += float(x != y)
                else:
                    total += (
                        (x - low[a]) / ((high[a] - low[a]) or 1.0) - (y - low[a]) / ((high[a] - low[a]) or 1.0)
                    ) ** 2
            if best is None or total < best[0] - 1e-12:
                best = total, j
        found.append(best[1])
    return found


@pytest.mark.parametrize("tree_columns", [24, 0])
@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_neighbours_are_those_of_all_distances(tree_columns, seed):
    random = np.random.default_rng(seed)
    rows, columns = random.integers(2, 30), random.integers(1, 6)
    nominal = random.random(columns) < 0.5
    whole = random.random(columns) < 0.6
    # Numbers whose distances are exact, so that ties are ties however they are added up.
    cells = np.where(
        nominal | whole, random.integers(0, 5, (rows, columns)), random.integers(0, 2**10, (rows, columns))
    )
    cells = cells.astype(np.float64)
    cells[0, ~nominal], cells[1, ~nominal] = 0.0, np.where(whole, 4, 2**10)[~nominal]
    cells[2:][random.random((rows - 2, columns)) < random.choice([0.0, 0.3])] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_neighbours, "_TREE_COLUMNS", tree_columns)
        patch.setattr(_neighbours, "_TREE_ROWS", (2, 4))
        patch.setattr(_neighbours, "_CATEGORIES", int(random.choice([1, 1024])))
        for name in ("_ASKED", "_ROWS", "_CANDIDATES"):
            patch.setattr(_neighbours, name, int(random.choice([1, 3, 8, 512])))
        assert nearest_neighbours(cells, nominal).tolist() == plain_neighbours(cells, nominal)


def test_equal_rows_form_a_ring():
    cells = np.array([[3.0], [1.0], [3.0], [1.0], [3.0], [2.5]])
    assert nearest_neighbours(cells, np.array([False])).tolist() == [2, 3, 4, 1, 0, 0]


def test_a_number_that_is_missing_is_as_far_as_another_category():
    cells = np.array([[0.0, 0], [0.0, 1], [np.nan, 0], [np.nan, 1], [1.0, 2]])
    assert nearest_neighbours(cells, np.array([False, True])).tolist() == [1, 3, 3, 1, 0]


def test_rows_that_differ_in_a_name_alone_are_equal():
    table = pa.table({"name": ["Ann", "Bo", "Cy", "Di"], "x": [1, 5, 1, 5]})
    assert nearest_neighbours(*coded(table)).tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize("data", ["letter", "adult"])
def test_neighbours_in_real_data_are_as_near_as_those_of_scikit_learn(shared, data):
    cells, nominal = coded(real(shared, data).slice(0, 4000))
    found = nearest_neighbours(cells, nominal)
    scaled = []
    for column, codes in zip(cells.T, nominal, strict=True):
        known = np.nan_to_num(column, nan=np.nanmax(column) + 1)
        one_hot = (known[:, None] == np.unique(known)) / np.sqrt(2)
        scaled.append(one_hot if codes else (column / column.max())[:, None])
    points = np.concatenate(scaled, axis=1)
    points -= points.min(axis=0)
    points /= np.where(np.repeat(nominal, [x.shape[1] for x in scaled]), 1, np.maximum(points.max(axis=0), 1e-300))
    expected = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(points).kneighbors(points)[0][:, 1]
    assert (found != np.arange(len(found))).all()
    np.testing.assert_allclose(np.linalg.norm(points - points[found], axis=1), expected, atol=1e-7)


def real(shared, data):
    """The features of a real table, as the reader types them."""
    path = {"letter": "letter/letter.tsv", "adult": "adult/adult.csv"}[data]
    source = Source(shared / "data" / path)
    names = [name for name in source.columns() if name not in ("letter", "income-per-year")]
    task = Task("features", tuple(names))
    return pa.Table.from_batches(list(read_rows(source, task, feature_types(source, task)))).combine_chunks()


# A pass.


def plain_pass(table, munge, seed, copy, categorical):
    """The rows after a pass, visited one after the other."""
    rows, names = len(table), table.column_names
    made = [list(column) for column in zip(*(table[name].to_pylist() for name in names), strict=True)]
    cells, nominal = coded(table, categorical)
    neighbours = nearest_neighbours(cells, nominal)
    number = np.arange(rows)
    order = np.argsort(row_draws(seed, "munge-order", number, np.zeros(rows, np.int32)))
    draws = {
        side: row_draws(seed, f"munge{side}", number, np.full(rows, copy, np.int32)) for side in ("", "-own", "-other")
    }

    def draw(side, e, a):
        return int(position_draws(draws[side][e : e + 1], np.array([a], np.int32))[0])

    def near(mean, other, side, e, a):
        normal = ndtri(((draw(side, e, a) >> 12) + 0.5) * 2.0**-52)
        value = float(
            np.clip(mean + abs(mean - other) / munge.s * normal, np.nanmin(cells[:, a]), np.nanmax(cells[:, a]))
        )
        return round(value) if pa.types.is_integer(table[names[a]].type) else value

    for e in order.tolist():
        mine, other = made[e], made[neighbours[e]]
        for a in range(len(names)):
            if draw("", e, a) >= munge.p * 2**64:
                continue
            x, y = mine[a], other[a]
            swap = nominal[a] or x is None or y is None
            mine[a] = y if swap else near(y, x, "-own", e, a)
            if munge.mode == "both":
                other[a] = x if swap else near(x, y, "-other", e, a)
    return made


@pytest.mark.parametrize("mode", ["both", "one_sided"])
@pytest.mark.parametrize(("rows", "p", "s"), [(2, 1.0, 3.0), (40, 0.5, 3.0), (150, 0.9, 0.3), (150, 0.2, 50.0)])
def test_a_pass_is_what_visits_one_after_the_other_make(mode, rows, p, s):
    table = random_table(np.random.default_rng(rows), rows)
    munge = Munge(p, s, mode)
    for copy, made in enumerate(munged(table, munge, 3, seed=7, categorical=("zip",)), 1):
        expected = plain_pass(table, munge, 7, copy, ("zip",))
        assert [list(row.values()) for row in made.to_pylist()] == expected


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=50)
def test_visits_of_one_level_share_no_row_and_come_after_those_they_depend_on(seed):
    random = np.random.default_rng(seed)
    rows = int(random.integers(2, 60))
    neighbours = (np.arange(rows) + random.integers(1, rows, rows) ** 3 % (rows - 1) + 1) % rows
    neighbours = np.where(neighbours == np.arange(rows), (neighbours + 1) % rows, neighbours)
    order = random.permutation(rows)
    level = levels(order, neighbours)
    touched = [{e, int(neighbours[e])} for e in order.tolist()]
    for later in range(rows):
        below = [level[earlier] for earlier in range(later) if touched[earlier] & touched[later]]
        assert level[later] == 1 + max(below, default=-1)


def pairs(count, columns):
    """Rows of which each has one other nearest, above or below it, and names that are all different."""
    place = np.arange(2 * count)
    names = {f"name{column}": pa.array([f"{row}-{column}" for row in place]) for column in range(columns)}
    return pa.table({"pair": pa.array([f"pair {each}" for each in place // 2]), **names})


def within_4_standard_errors(hits, trials, probability):
    return abs(hits - trials * probability) <= 4 * np.sqrt(trials * probability * (1 - probability))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("mode", ["both", "one_sided"])
def test_a_cell_is_swapped_with_probability_p(mode, p):
    count, columns = 2000, 4
    table = pairs(count, columns)
    (made,) = munged(table, Munge(p, 1e9, mode))
    changed = sum(pc.sum(pc.not_equal(made[f"name{a}"], table[f"name{a}"])).as_py() for a in range(columns))
    if mode == "both":  # each pair is visited twice, and two swaps undo each other
        assert changed % 2 == 0
        assert within_4_standard_errors(changed // 2, count * columns, 2 * p * (1 - p))
    else:  # the first row visited takes the other's value; the other then its own, or the first's old one
        either = p + (1 - p) * p
        assert within_4_standard_errors(changed, count * columns, either)


def changed_pairs(made, table, name):
    """Of each pair of rows, whether they were swapped, as 0 and 1."""
    return pc.not_equal(made[name], table[name]).to_numpy().astype(float)[::2]


def test_columns_are_chosen_independently():
    table = pairs(4000, 2)
    (made,) = munged(table, Munge(0.7))
    one, other = (changed_pairs(made, table, name) for name in ("name0", "name1"))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(one))


def test_copies_are_drawn_independently():
    table = pairs(4000, 1)
    one, other = (changed_pairs(made, table, "name0") for made in munged(table, Munge(0.7), 2))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(one))


@pytest.mark.parametrize("s", [2.0, 5.0, 30.0])
def test_a_draw_is_normal_around_the_neighbour_with_deviation_difference_over_s(s):
    count = 3000
    numbers = np.random.default_rng(0).uniform(0.4, 0.6, 2 * count)
    # Two rows far off in both directions widen the range, so that nothing is clipped.
    table = pa.table(
        {"pair": [f"pair {row // 2}" for row in range(2 * count + 2)], "number": np.append(numbers, [-9.0, 9.0])}
    )
    (made,) = munged(table, Munge(1.0, s, "one_sided"))
    old, new = (each["number"].to_numpy()[: 2 * count].reshape(-1, 2) for each in (table, made))
    rank = row_draws(0, "munge-order", np.arange(2 * count), np.zeros(2 * count, np.int32)).reshape(-1, 2)
    first = rank.argmin(axis=1)
    pair = np.arange(count)
    mean, difference = old[pair, 1 - first], np.abs(old[:, 0] - old[:, 1])
    normal = (new[pair, first] - mean) * s / difference
    assert kstest(normal, "norm").pvalue > 1e-3
    # The row visited second draws around what the first one has become.
    again = (new[pair, 1 - first] - new[pair, first]) * s / np.abs(new[pair, first] - mean)
    assert kstest(again, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(normal, again)[0, 1]) < 4 / np.sqrt(count)


def test_small_s_is_wide_and_large_s_nearly_a_swap():
    table = pa.table({"x": np.random.default_rng(0).normal(size=500)})
    far = [
        np.abs(munged(table, Munge(1.0, s))[0]["x"].to_numpy() - table["x"].to_numpy()).mean() for s in (0.5, 3, 100)
    ]
    assert far[0] > 2 * far[1] > 2 * far[2]


@pytest.mark.parametrize("mode", ["both", "one_sided"])
def test_types_ranges_categories_and_whole_numbers_stay(mode):
    table = random_table(np.random.default_rng(1), 300)
    for made in munged(table, Munge(0.9, 0.2, mode), 3, categorical=("zip",)):
        assert made.schema == table.schema
        for name in table.column_names:
            if name in ("float", "grid", "int"):
                assert pc.min(made[name]).as_py() >= pc.min(table[name]).as_py()
                assert pc.max(made[name]).as_py() <= pc.max(table[name]).as_py()
            else:
                assert pc.all(pc.is_in(made[name], value_set=pc.unique(table[name]))).as_py()
        assert made["float"].null_count > 0


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_swaps_move_categories_and_missing_cells_but_lose_none(seed):
    table = random_table(np.random.default_rng(seed), 60)
    for made in munged(table, Munge(0.6, 1.0), 2, seed, categorical=("zip",)):
        assert [column.null_count for column in made.columns] == [column.null_count for column in table.columns]
        for name in ("bool", "string", "zip"):
            assert sorted(map(str, made[name].to_pylist())) == sorted(map(str, table[name].to_pylist()))


def test_adult_keeps_types_categories_ranges_and_missing_cells(shared):
    table = real(shared, "adult")
    assert table["workclass"].null_count == 1836
    for made in munged(table, Munge(), 2):
        assert made.schema == table.schema
        assert [column.null_count for column in made.columns] == [column.null_count for column in table.columns]
        for name in table.column_names:
            if pa.types.is_string(table[name].type):
                counts = [sorted(map(str, pc.value_counts(each[name]).to_pylist())) for each in (made, table)]
                assert counts[0] == counts[1]
            else:
                assert pc.min_max(made[name])["min"].as_py() >= pc.min_max(table[name])["min"].as_py()
                assert pc.min_max(made[name])["max"].as_py() <= pc.min_max(table[name])["max"].as_py()
        assert made.column("age") != table.column("age")


# Whatever the table.


@pytest.mark.parametrize("mode", ["both", "one_sided"])
@pytest.mark.parametrize(
    "columns",
    [
        {"x": pa.array([1.5, 2.5])},
        {"x": pa.array([1, 2, 5, 9])},
        {"x": pa.array(["a", "b", "c"])},
        {"x": pa.array([True, False, None, True])},
        {"x": pa.array([None, None, None], pa.float64()), "y": pa.array([1, 2, 9])},
        {"x": pa.array([None, None, None], pa.int64()), "y": pa.array([None, "b", None])},
        {"x": pa.array([None, None], pa.string())},
        {"x": pa.array([0.0, -0.0, 5e-324]), "y": pa.array([1.7e308, -1.7e308, 3.0])},
        {"x": pa.array([2**63 - 1, -(2**63), 0, None, 2**62 + 1])},
        {"x": pa.array([2**60 + 1, 2**60 + 3, 2**60 + 9])},
    ],
)
@pytest.mark.parametrize("s", [1e-300, 1.0, 1e300])
def test_odd_tables_stay_in_type_and_range(columns, mode, s):
    table = pa.table(columns)
    for made in munged(table, Munge(0.8, s, mode), 4):
        assert made.schema == table.schema
        for name in table.column_names:
            known = table[name].drop_null().to_pylist()
            values = made[name].drop_null().to_pylist()
            if known and not isinstance(known[0], str):
                assert all(min(known) <= value <= max(known) for value in values)
            else:
                assert set(values) <= set(known)


@pytest.mark.parametrize("mode", ["both", "one_sided"])
def test_equal_rows_and_constant_columns_do_not_change(mode):
    table = pa.table({"x": [1.5] * 50, "y": ["a"] * 50, "z": [7] * 50})
    for made in munged(table, Munge(1.0, 0.1, mode), 2):
        assert made.equals(table)
    table = table.set_column(0, "x", pa.array(np.arange(50.0)))
    for made in munged(table, Munge(1.0, 0.1, mode), 2):
        assert made["y"].equals(table["y"])
        assert made["z"].equals(table["z"])
        assert not made["x"].equals(table["x"])


def test_numbers_beyond_what_a_float_tells_apart_are_kept_unless_they_change():
    table = pa.table({"id": [2**62 + 2 * row + 1 for row in range(20)], "x": [float(row // 2) for row in range(20)]})
    (made,) = munged(table, Munge(0.0), 1)
    assert made.equals(table)
    (made,) = munged(table, Munge(0.3), 1)
    kept = sum(a == b for a, b in zip(made["id"].to_pylist(), table["id"].to_pylist(), strict=True))
    assert 5 <= kept < 20


def test_the_least_and_the_greatest_integers_are_kept():
    table = pa.table({"x": [2**63 - 1, -(2**63), 0, None, 2**62 + 1], "y": [2**63 - 1, 2**63 - 3, 1, -(2**63), 7]})
    (made,) = munged(table, Munge(0.0), 1)
    assert made.equals(table)
    # Cells that no visit chose are kept beside those that one did; a float would have made 2**62 of the last.
    known = table.filter(pc.is_valid(table["x"]))
    seen = {value for made in munged(known, Munge(0.1, 1.0), 20) for value in made["x"].to_pylist()}
    assert {2**63 - 1, -(2**63), 2**62 + 1} < seen
    assert 2**62 not in seen


def test_a_categorical_number_is_not_drawn_but_swapped():
    table = pa.table({"zip": np.random.default_rng(0).choice([10, 99, 7000], 200), "x": np.arange(200.0)})
    (made,) = munged(table, Munge(0.5, 0.5), categorical=("zip",))
    assert made["zip"].type == pa.int64()
    assert sorted(made["zip"].to_pylist()) == sorted(table["zip"].to_pylist())
    (drawn,) = munged(table, Munge(0.5, 0.5))
    assert sorted(drawn["zip"].to_pylist()) != sorted(table["zip"].to_pylist())


def test_a_table_of_one_row_is_refused():
    with pytest.raises(StillhouseError) as error:
        augment(pa.table({"x": [1]}), [Munge()], copies=1)
    assert str(error.value) == "munge: must have at least 2 rows, so that each has a neighbour, got 1"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"p": 1.5}, "munge: p must be between 0 and 1, got 1.5"),
        ({"p": float("nan")}, "munge: p must be between 0 and 1, got nan"),
        ({"s": 0.0}, "munge: s must be a number above 0, got 0.0"),
        ({"s": float("inf")}, "munge: s must be a number above 0, got inf"),
        ({"s": float("nan")}, "munge: s must be a number above 0, got nan"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(StillhouseError) as error:
        Munge(**parameters)
    assert str(error.value) == message


def test_an_unknown_mode_names_the_known_ones():
    with pytest.raises(StillhouseError, match="both, one_sided"):
        Munge(mode="onesided")


# Nothing but table, parameters, seed and copy decides.


def test_blocks_and_the_copies_asked_for_do_not_matter():
    table = random_table(np.random.default_rng(2), 200)
    whole = munged(table, Munge(), 3, seed=5)
    assert munged(table, Munge(), 3, seed=5) == whole
    assert munged(table, Munge(), 3, seed=5, block_rows=17) == whole
    assert munged(table, Munge(), 1, seed=5) == whole[:1]
    assert munged(table, Munge(), 3, seed=6) != whole
    corpus = corpus_of(table)
    draft = FeatureDraft(50, table.slice(50, 20), np.array([3, 3, 9]), np.array([2, 3, 1], np.int32), 5)
    Munge().fit(corpus)(draft)
    for place, (row, copy) in enumerate([(53, 2), (53, 3), (59, 1)]):
        assert [column[place] for column in draft.columns] == [column[row] for column in whole[copy - 1].columns]


def test_only_cells_that_change_are_edits():
    table = random_table(np.random.default_rng(3), 100)
    made = augment(table, [Munge(0.3)], copies=2)
    copies = made.filter(pc.field("copy") > 0)
    originals = table.take(copies["source"])
    for row, edits in enumerate(copies["edits"].to_pylist()):
        changed = [n for n, name in enumerate(table.column_names) if copies[name][row] != originals[name][row]]
        assert [edit["input"] for edit in edits] == changed
        assert {edit["rule"] for edit in edits} == {"munge"}


def test_two_steps_draw_differently():
    table = random_table(np.random.default_rng(4), 100)
    once, twice = (augment(table, [Munge(0.5)] * steps, copies=1) for steps in (1, 2))
    cells = [sum(map(len, made["edits"].to_pylist())) for made in (once, twice)]
    assert cells[1] > 1.2 * cells[0]


def test_steps_with_other_parameters_share_the_neighbours_alone():
    table = random_table(np.random.default_rng(6), 100)
    corpus = corpus_of(table)
    for munge in (Munge(), Munge(p=0.4), Munge(s=4.0), Munge(mode="one_sided")):
        draft = FeatureDraft(0, table, *all_copies(len(table), 1), 0)
        munge.fit(corpus)(draft)
        assert pa.table(draft.columns, names=table.column_names).equals(*munged(table, munge))


def test_a_file_gives_what_memory_gives(tmp_path):
    table = random_table(np.random.default_rng(5), 120).drop_columns("zip")
    pq.write_table(table, tmp_path / "rows.parquet")
    task = Task("features", tuple(table.column_names))
    source = Source(tmp_path / "rows.parquet")
    store = augment_file(source, task, tmp_path / "out", [Munge()], copies=3, seed=1)
    written = pa.concat_tables(store.read(part) for part in store.parts())
    memory = augment(table, [Munge()], copies=3, seed=1)
    assert written.select(memory.column_names).to_pylist() == memory.to_pylist()
