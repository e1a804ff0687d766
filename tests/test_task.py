"""A task says what is learned from what, and refuses what cannot be."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transferset import StillhouseError, Task
from transferset.task import ADDED_COLUMNS, sort_classes

TASKS = [
    Task("text", ("a",)),
    Task("text", ("a",), "y", classes=("neg", "pos")),
    Task("pair", ("a", "b"), "y", "regression"),
    Task("features", ("a", "b", "c"), "y", "multilabel", ("u", "v", "w"), ("b", "c")),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_a_task_comes_back_from_json(task):
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("target", "kind", "outputs"),
    [("classification", pa.string(), 2), ("multilabel", pa.list_(pa.string()), 2), ("regression", pa.float64(), 1)],
)
def test_the_target_says_the_type_of_labels_and_the_number_of_logits(target, kind, outputs):
    task = Task("text", ("a",), "y", target, () if target == "regression" else ("u", "v"))
    assert task.label_type == kind
    assert task.outputs == outputs


def test_the_columns_are_the_inputs_and_then_the_label():
    assert Task("pair", ("b", "a"), "y").columns == ("b", "a", "y")
    assert Task("pair", ("b", "a")).columns == ("b", "a")


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("text", (), "text must have 1 input columns, got 0"),
        ("text", ("a", "b"), "text must have 1 input columns, got 2"),
        ("pair", ("a",), "pair must have 2 input columns, got 1"),
        ("features", (), "features must name at least one input column, got none"),
        ("texts", ("a",), "did you mean 'text'"),
        ("pair", ("a", "a"), "each column must have one role, got 'a' twice"),
        ("text", ("y",), "each column must have one role, got 'y' twice"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(kind, inputs, message):
    with pytest.raises(StillhouseError, match=message):
        Task(kind, inputs, "y")


def test_an_unknown_target_suggests_the_nearest():
    with pytest.raises(StillhouseError, match="did you mean 'multilabel'"):
        Task("text", ("a",), "y", "multi-label")


@pytest.mark.parametrize("name", ADDED_COLUMNS)
def test_the_columns_of_a_transfer_set_are_taken(name):
    for inputs, label in (((name,), None), (("a",), name)):
        with pytest.raises(StillhouseError, match=f"must not be called '{name}'"):
            Task("text", inputs, label)


def test_a_categorical_column_must_be_an_input():
    with pytest.raises(StillhouseError, match="categorical column: must be one of colour, size, got 'color': did you"):
        Task("features", ("colour", "size"), "y", categorical=("color",))
    with pytest.raises(StillhouseError, match="categorical column"):
        Task("features", ("a",), "y", categorical=("y",))


NAMES = st.text(max_size=4) | st.from_regex(r"\A-{0,2}[0-9]{1,3}\Z") | st.integers().map(str)


@settings(deadline=None, max_examples=200)
@given(st.lists(NAMES, max_size=6), st.randoms(use_true_random=False))
@example(["--5", "1"], None)
@example(["-", "1"], None)
@example(["²", "1"], None)
def test_classes_have_one_order_whatever_order_they_are_seen_in(names, random):
    ordered = sort_classes(names)
    shuffled = [*reversed(names), *names]
    if random is not None:
        random.shuffle(shuffled)
    assert sort_classes(shuffled) == ordered
    assert sorted(ordered) == sorted({*names})


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(), unique=True))
def test_classes_that_are_whole_numbers_are_ordered_as_numbers(numbers):
    assert sort_classes(map(str, numbers)) == tuple(map(str, sorted(numbers)))


def test_one_name_that_is_no_number_makes_the_order_that_of_text():
    assert sort_classes(["10", "9", "x"]) == ("10", "9", "x")
