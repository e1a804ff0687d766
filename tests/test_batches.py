"""Batches: every row once, within the budget, whatever the order the rows came in."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset.batches import plan_batches


@st.composite
def rows_to_plan(draw):
    lengths = draw(st.lists(st.integers(1, 60), min_size=0, max_size=80))
    keys = np.array(draw(st.permutations(range(len(lengths)))), np.uint64)
    return np.array(lengths, np.int32), np.stack([keys // np.uint64(3), keys], 1) if len(keys) else np.zeros(
        (0, 2), np.uint64
    )


@settings(deadline=None, max_examples=100)
@given(rows_to_plan(), st.integers(1, 200), st.integers(0, 2**32))
def test_a_plan_holds_every_row_once_within_the_budget_whatever_their_order(rows, batch_tokens, seed):
    lengths, keys = rows
    order, bounds = plan_batches(lengths, keys, batch_tokens)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (bounds[0], bounds[-1]) == (0, len(lengths))
    for first, last in pairwise(bounds.tolist()):
        assert first < last
        assert last - first == 1 or (last - first) * lengths[order[first:last]].max() <= batch_tokens
        # No batch is smaller than it must be: one row more would not fit.
        assert last == len(lengths) or (last - first + 1) * lengths[order[first]] > batch_tokens
    shuffle = np.random.default_rng(seed).permutation(len(lengths))
    again, same_bounds = plan_batches(lengths[shuffle], keys[shuffle], batch_tokens)
    np.testing.assert_array_equal(shuffle[again], order)
    np.testing.assert_array_equal(same_bounds, bounds)


def test_the_plan_takes_rows_without_tokens():
    order, bounds = plan_batches(np.zeros(3, np.int32), np.arange(6, dtype=np.uint64).reshape(3, 2), 2)
    assert (order.tolist(), bounds.tolist()) == ([0, 1, 2], [0, 2, 3])
