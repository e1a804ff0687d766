"""JSON that may be anybody's: what is no JSON, or could not be written again, is one ValueError."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset.plain import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=100)
@given(VALUES, st.booleans())
def test_what_json_writes_is_read_back(value, ascii_alone):
    text = json.dumps(value, ensure_ascii=ascii_alone)
    assert parse_json(text) == parse_json(text.encode()) == value


@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ('"\\ud800"', "half a character"),
        ('{"a": [{"\\udfff": 1}]}', "half a character"),
        ("[" * 100_000, "nested"),
        ("9" * 5000, "4300 digits"),
    ],
)
def test_what_is_none_or_cannot_be_written_is_refused(text, says, is_text):
    with pytest.raises(ValueError, match=says):
        parse_json(text if is_text else text.encode())


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ValueError, match="utf-8"):
        parse_json(b'"\xff"')


def test_a_whole_character_may_be_written_as_its_two_halves():
    assert parse_json(b'"\\ud83c\\udf7e"') == "\U0001f37e"


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data):
    try:
        value = parse_json(data)
    except ValueError:
        return
    json.dumps(value, ensure_ascii=False).encode()
