"""The columns of parts: of a type that is allowed, without nulls unless they may have some, and text that is text."""

import pyarrow as pa
import pytest

from transferset.columns import Column

HALVES = pa.list_(pa.float16(), 2)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (Column((pa.int64(),)), pa.array([1, 2])),
        (Column((pa.int64(), pa.string()), nulls=True), pa.array(["a", None])),
        (Column((pa.string(),)), pa.array([], pa.string())),
        (Column((pa.list_(pa.field("element", pa.string())),)), pa.array([["a"], []])),
        (Column((HALVES,)), pa.array([[1, 2]], HALVES)),
    ],
)
def test_what_fits_is_taken(column, values):
    column.check("x", pa.chunked_array([values]))


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        (Column((pa.int64(),)), pa.array([1], pa.int32()), "column 'x' must be int64, got int32"),
        (Column((pa.bool_(), pa.string())), pa.array([1]), "column 'x' must be bool or string, got int64"),
        (Column((pa.string(),)), pa.array(["a"], pa.large_string()), "must be string, got large_string"),
        (Column((pa.int64(),)), pa.array([1, None, None]), "column 'x' must hold no nulls, got 2"),
        (Column((pa.int64(),), nulls=True), pa.nulls(2), "must be int64, got null"),
        (Column((pa.string(),)), pa.array([b"\xff"]).view(pa.string()), "UTF8"),
        (Column((HALVES,)), pa.array([[1]], pa.list_(pa.float16(), 1)), r"\[2\], got fixed_size_list"),
    ],
)
def test_what_does_not_fit_is_refused(column, values, says):
    with pytest.raises(ValueError, match=says):
        column.check("x", pa.chunked_array([values]))
