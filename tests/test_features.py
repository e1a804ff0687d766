"""Drafts of features: cells that are set once, what counts as changed, the record of it, and branches of rows."""

import numpy as np
import pyarrow as pa
import pytest

from augment._corpus import Corpus
from augment._features import FeatureDraft
from augment._rows import Plan, all_copies
from transferset import Task

TABLE = pa.table(
    {
        "whole": pa.array([1, None, 3], pa.int64()),
        "real": pa.array([0.5, 1.25, None], pa.float64()),
        "flag": pa.array([True, False, None], pa.bool_()),
        "name": pa.array(["é", None, ""], pa.string()),
    }
)
WHOLE, REAL, FLAG, NAME = range(4)


def draft_of(table=TABLE, copies=2, seed=0, first_row=0):
    return FeatureDraft(first_row, table, *all_copies(len(table), copies), seed)


def put(draft, column, rows, values, rule="rule"):
    draft.set(rule, column, np.array(rows, np.int64), pa.array(values, draft.columns[column].type))


def edits_of(draft, rows=None):
    rows = np.arange(len(draft.row)) if rows is None else np.array(rows, np.int64)
    return [
        [tuple(edit[name] for name in ("rule", "input", "old", "new")) for edit in edits]
        for edits in draft.edits(rows).to_pylist()
    ]


def test_a_draft_begins_as_copies_of_its_rows():
    draft = draft_of(copies=3)
    for column, original in zip(draft.columns, TABLE.columns, strict=True):
        assert column.to_pylist() == [value for value in original.to_pylist() for _ in range(3)]
        assert column.type == original.type
    assert draft.row.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert draft.copy.tolist() == [1, 2, 3] * 3
    assert not draft.changed().any()
    assert edits_of(draft) == [[]] * 9


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [
        (WHOLE, [7, None], [("1", "7"), ("3", None)]),
        (REAL, [0.1, -2.0], [("0.5", "0.1"), (None, "-2")]),
        (FLAG, [False, True], [("true", "false"), (None, "true")]),
        (NAME, [None, "new"], [("é", None), ("", "new")]),
    ],
)
def test_cells_of_every_type_are_set_and_recorded(column, values, shown):
    draft = draft_of()
    put(draft, column, [0, 5], values)
    expected = [value for value in TABLE[column].to_pylist() for _ in range(2)]
    expected[0], expected[5] = values
    assert draft.columns[column].to_pylist() == expected
    assert draft.columns[column].type == TABLE[column].type
    assert draft.changed().tolist() == [True, False, False, False, False, True]
    found = edits_of(draft)
    assert (found[0], found[5]) == ([("rule", column, *shown[0])], [("rule", column, *shown[1])])
    assert found[1:5] == [[]] * 4
    for other in set(range(4)) - {column}:
        assert draft.columns[other].to_pylist() == [value for value in TABLE[other].to_pylist() for _ in range(2)]


def test_values_take_the_type_of_the_column():
    draft = draft_of()
    draft.set("rule", REAL, np.array([0]), pa.array([3], pa.int8()))
    draft.set("rule", NAME, np.array([0]), pa.array(["x"], pa.large_string()))
    draft.set("rule", WHOLE, np.array([0]), pa.array([3], pa.int16()))
    assert [column.type for column in draft.columns] == TABLE.schema.types


def test_a_cell_that_was_set_stays_as_it_is():
    draft = draft_of()
    put(draft, WHOLE, [1, 2], [10, 20], "first")
    put(draft, WHOLE, [0, 1, 2, 3], [5, 6, 7, 8], "second")
    put(draft, WHOLE, [4, 5], [None, 9], "third")
    put(draft, WHOLE, [4], [1], "fourth")
    assert draft.columns[WHOLE].to_pylist() == [5, 10, 20, 8, None, 9]
    assert edits_of(draft) == [
        [("second", WHOLE, "1", "5")],
        [("first", WHOLE, "1", "10")],
        [("first", WHOLE, None, "20")],
        [("second", WHOLE, None, "8")],
        [("third", WHOLE, "3", None)],
        [("third", WHOLE, "3", "9")],
    ]


def test_rows_may_be_given_in_any_order():
    draft = draft_of()
    put(draft, NAME, [5, 0, 3], ["five", "zero", "three"])
    assert draft.columns[NAME].to_pylist() == ["zero", "é", None, "three", "", "five"]
    assert [edits[0][3] for edits in edits_of(draft) if edits] == ["zero", "three", "five"]


def test_edits_stand_in_order_of_column_whatever_came_first():
    draft = draft_of()
    put(draft, NAME, [2, 0], ["b", "a"], "late")
    put(draft, WHOLE, [0, 2], [4, 5], "early")
    put(draft, FLAG, [0], [None], "late")
    assert edits_of(draft, [0, 2]) == [
        [("early", WHOLE, "1", "4"), ("late", FLAG, "true", None), ("late", NAME, "é", "a")],
        [("early", WHOLE, None, "5"), ("late", NAME, None, "b")],
    ]
    assert edits_of(draft, [2]) == edits_of(draft)[2:3]
    assert edits_of(draft, [1]) == [[]]
    assert edits_of(draft, []) == []


def test_edits_of_features_have_no_position():
    draft = draft_of()
    put(draft, WHOLE, [0], [4])
    assert draft.edits(np.array([0])).to_pylist()[0][0] == {
        "rule": "rule",
        "input": 0,
        "position": None,
        "words": None,
        "old": "1",
        "new": "4",
    }


def test_setting_no_cells_changes_nothing():
    draft = draft_of()
    put(draft, WHOLE, [], [])
    assert not draft.changed().any()
    assert edits_of(draft) == [[]] * 6


def test_a_column_may_be_replaced_whole_and_equal_cells_count_as_unedited():
    draft = draft_of(copies=1)
    draft.replace("rule", WHOLE, pa.array([1, None, 4]))
    draft.replace("rule", NAME, pa.array([None, None, ""], pa.string()))
    draft.replace("rule", REAL, pa.array([0.5, None, 2.0]))
    assert draft.columns[REAL].to_pylist() == [0.5, None, 2.0]
    assert edits_of(draft) == [
        [("rule", NAME, "é", None)],
        [("rule", REAL, "1.25", None)],
        [("rule", WHOLE, "3", "4"), ("rule", REAL, None, "2")],
    ]
    assert draft.changed().all()


def test_no_rows_make_an_empty_draft():
    draft = draft_of(TABLE.slice(0, 0))
    put(draft, WHOLE, [], [])
    assert [len(column) for column in draft.columns] == [0] * 4
    assert draft.edits(np.array([], np.int64)).to_pylist() == []


def set_all(column, value, rule="rule"):
    return lambda draft: put(draft, column, np.arange(len(draft.row)), [value] * len(draft.row), rule)


def test_a_branch_sets_cells_of_its_rows_alone():
    draft = draft_of()
    draft.split(np.array([0, 1, 2, 0, 1, 2]), [set_all(WHOLE, 10), set_all(WHOLE, 20, "other")])
    assert draft.columns[WHOLE].to_pylist() == [10, 20, None, 10, 20, 3]
    assert [edits[0][0] if edits else None for edits in edits_of(draft)] == [
        *["rule", "other", None, "rule", "other", None]
    ]
    assert draft.active.all()


def test_branches_within_branches_are_of_both():
    draft = draft_of()

    def inner(each):
        each.split(np.array([0, 0, 0, 1, 1, 1]), [set_all(WHOLE, 1), set_all(WHOLE, 2)])
        assert each.active.tolist() == [True, False] * 3

    draft.split(np.array([0, 1] * 3), [inner, set_all(REAL, 9.0)])
    assert draft.columns[WHOLE].to_pylist() == [1, 1, 1, None, 2, 3]
    assert draft.columns[REAL].to_pylist() == [0.5, 9.0, 1.25, 9.0, None, 9.0]


def test_all_rows_are_active_again_after_a_step_that_fails():
    draft = draft_of()

    def failing(each):
        raise KeyError("a step of the user's")

    with pytest.raises(KeyError):
        draft.split(np.zeros(6, np.int64), [failing])
    assert draft.active.all()


def test_a_cell_set_in_a_branch_stays_after_it():
    draft = draft_of()
    draft.split(np.array([0, 1] * 3), [set_all(WHOLE, 10)])
    set_all(WHOLE, 20)(draft)
    assert draft.columns[WHOLE].to_pylist() == [10, 20] * 3


def test_draws_are_of_rule_row_copy_and_seed():
    draft = draft_of()
    assert len(set(draft.row_draws("a").tolist())) == 6
    assert (draft.row_draws("a") == draft_of().row_draws("a")).all()
    assert not (draft.row_draws("a") == draft.row_draws("b")).any()
    assert not (draft.row_draws("a") == draft_of(seed=1).row_draws("a")).any()
    # Row 2 of the block from row 5 is row 7 of the source.
    late = draft_of(TABLE.slice(2), first_row=2)
    assert (late.row_draws("a") == draft.row_draws("a")[4:]).all()


def test_two_steps_of_a_kind_have_names_of_their_own():
    draft = draft_of()
    assert [draft.name("munge"), draft.name("munge"), draft.name("random")] == ["munge", "munge-2", "random"]


def drawn_up(steps, copies=2, keep_labels=False, first_row=0):
    task = Task("features", tuple(TABLE.column_names), "label")
    table = TABLE.append_column("label", pa.array(["x", None, "y"]))
    table = table.append_column("source", pa.array(np.arange(first_row, first_row + 3)))
    corpus = Corpus.in_memory(task, [table])
    return Plan(steps, "cycle", 0, keep_labels).draw_up(corpus, 0, *all_copies(3, copies))


def test_rows_of_which_no_cell_was_set_are_left_out():
    made = drawn_up([lambda draft: put(draft, FLAG, [1, 4], [False, True])], first_row=40)
    assert made.column_names == [*TABLE.column_names, "label", "source", "copy", "edits"]
    assert made.select(["flag", "label", "source", "copy"]).to_pylist() == [
        {"flag": False, "label": None, "source": 40, "copy": 2},
        {"flag": True, "label": None, "source": 42, "copy": 1},
    ]
    assert [len(edits) for edits in made["edits"].to_pylist()] == [1, 1]
    assert made.schema.types[:4] == TABLE.schema.types


def test_labels_are_kept_where_asked_for():
    made = drawn_up([set_all(FLAG, True)], keep_labels=True)
    assert made["label"].to_pylist() == ["x", "x", None, None, "y", "y"]


def test_several_steps_share_the_cells_in_order():
    odd = np.array([0, 1] * 3)
    steps = [
        lambda draft: draft.split(odd, [set_all(WHOLE, 1, "first")]),
        lambda draft: (set_all(WHOLE, 2, "second")(draft), set_all(NAME, "n", "second")(draft)),
        set_all(NAME, "late", "third"),
    ]
    made = drawn_up(steps)
    assert made["whole"].to_pylist() == [1, 2] * 3
    assert set(made["name"].to_pylist()) == {"n"}
    rules = [[edit["rule"] for edit in edits] for edits in made["edits"].to_pylist()]
    assert rules == [["first", "second"], ["second", "second"]] * 3


def test_the_rows_given_are_not_changed():
    before = TABLE.to_pylist()
    drawn_up([set_all(WHOLE, 5), set_all(NAME, "x")])
    assert TABLE.to_pylist() == before
