"""The one exception of the toolkit and what it says of unknown names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset import StillhouseError, unknown


def test_it_is_a_value_error_so_that_library_users_can_catch_the_usual():
    with pytest.raises(ValueError, match="mask: rate"):
        raise StillhouseError("mask: rate must be between 0 and 1, got 1.7")


@pytest.mark.parametrize(
    ("name", "near"),
    [("tang2091", "tang2019"), ("TANG2019", "tang2019"), ("mung", "munge"), ("BERT", "Bert"), ("bret", "Bert")],
)
def test_the_nearest_known_name_is_suggested(name, near):
    message = str(unknown("recipe", name, ["munge", "tang2019", "Bert"]))
    assert message == f"recipe: must be one of munge, tang2019, Bert, got {name!r}: did you mean {near!r}?"


def test_nothing_is_suggested_where_nothing_is_near():
    assert str(unknown("recipe", "xyz", ["munge"])) == "recipe: must be one of munge, got 'xyz'"


@settings(deadline=None, max_examples=100)
@given(st.text(), st.lists(st.text(), max_size=4))
def test_any_names_make_a_message(name, known):
    message = str(unknown("column", name, iter(known)))
    assert message.startswith("column: must be one of ")
    assert repr(name) in message


def test_names_with_a_line_break_leave_the_message_one_line():
    # The columns of a csv file may be called anything.
    assert len(str(unknown("column", "a\nc", ["a\nb", "d"])).splitlines()) == 1
