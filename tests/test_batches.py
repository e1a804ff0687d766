"""Batches: every row once, within the budget, longest first."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset.batches import plan_batches


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 200))
def test_a_plan_holds_every_row_once_within_the_budget(lengths, batch_tokens):
    lengths = np.array(lengths, np.int32)
    order, bounds = plan_batches(lengths, batch_tokens)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (bounds[0], bounds[-1]) == (0, len(lengths))
    for first, last in pairwise(bounds.tolist()):
        assert first < last
        assert last - first == 1 or (last - first) * lengths[order[first:last]].max() <= batch_tokens
        # No batch is smaller than it must be: one row more would not fit.
        assert last == len(lengths) or (last - first + 1) * lengths[order[first]] > batch_tokens
    # Longest first, and rows of one length stay in order.
    assert order.tolist() == sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))


def test_the_plan_takes_rows_without_tokens():
    order, bounds = plan_batches(np.zeros(3, np.int32), 2)
    assert (order.tolist(), bounds.tolist()) == ([0, 1, 2], [0, 2, 3])
