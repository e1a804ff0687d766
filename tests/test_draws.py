"""Random draws are a uniform function of seed, rule, row, copy and position, and of nothing else."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from xxhash import xxh3_64_intdigest

from augment._draws import below, position_draws, row_draws, threshold, within

COUNT = 200_000
#: With fixed seeds a p-value is one number; below this it would be a fault, not chance.
LEAST_P = 1e-3


def many_row_draws(seed=0, rule="mask", copies=10):
    rows = np.repeat(np.arange(COUNT // copies), copies)
    return row_draws(seed, rule, rows, np.tile(np.arange(1, copies + 1, dtype=np.int32), COUNT // copies))


def many_word_draws(seed=0):
    of_row = many_row_draws(seed, copies=1)[: COUNT // 20]
    return position_draws(np.repeat(of_row, 20), np.tile(np.arange(20, dtype=np.int32), COUNT // 20))


def as_shares(draws):
    return draws / 2.0**64


@pytest.mark.parametrize("draw", [many_row_draws, many_word_draws])
def test_draws_are_uniform(draw):
    counts = np.bincount((draw() >> np.uint64(56)).astype(int), minlength=256)
    assert chisquare(counts).pvalue > LEAST_P


@pytest.mark.parametrize("draw", [many_row_draws, many_word_draws])
def test_the_lowest_bits_are_uniform_too(draw):
    counts = np.bincount((draw() & np.uint64(255)).astype(int), minlength=256)
    assert chisquare(counts).pvalue > LEAST_P


@pytest.mark.parametrize("draw", [many_row_draws, many_word_draws])
def test_no_two_draws_are_the_same(draw):
    draws = draw()
    assert len(np.unique(draws)) == len(draws)


@pytest.mark.parametrize("lag", [1, 10, 20])
@pytest.mark.parametrize("draw", [many_row_draws, many_word_draws])
def test_neighbouring_draws_are_not_correlated(draw, lag):
    # Lag 1 is the next copy or position, 10 the next row, 20 the same position of the next row.
    shares = as_shares(draw())
    correlation = np.corrcoef(shares[:-lag], shares[lag:])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(shares))


def test_rules_and_seeds_do_not_share_draws():
    every = [many_row_draws(seed, rule) for seed in (0, 1, 2) for rule in ("mask", "words", "ngram", "ngram-length")]
    correlations = np.corrcoef([as_shares(each) for each in every]) - np.eye(len(every))
    # 66 pairs: five standard errors leave no room for chance.
    assert np.abs(correlations).max() < 5 / np.sqrt(COUNT)
    assert len(np.unique(np.concatenate(every))) == len(every) * COUNT


@given(
    st.integers(-(2**70), 2**70),
    st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**31 - 1)), min_size=1, max_size=20),
)
@settings(deadline=None, max_examples=50)
def test_each_draw_stands_alone(seed, counters):
    rows, copies = (np.array(each) for each in zip(*counters, strict=True))
    copies = copies.astype(np.int32)
    together = row_draws(seed, "mask", rows, copies)
    alone = [row_draws(seed, "mask", rows[i : i + 1], copies[i : i + 1])[0] for i in range(len(rows))]
    assert together.tolist() == [int(each) for each in alone]


def test_arguments_are_not_changed():
    rows, copies, positions = np.arange(5), np.ones(5, np.int32), np.arange(5, dtype=np.int32)
    draws = row_draws(0, "mask", rows, copies)
    kept = draws.copy()
    position_draws(draws, positions)
    below(draws, 7)
    within(draws, 0.1, 0.5)
    assert (rows.tolist(), copies.tolist(), positions.tolist()) == (list(range(5)), [1] * 5, list(range(5)))
    assert (draws == kept).all()


def mixed(state):
    """SplitMix64's finalizer in plain whole numbers, written from its paper."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


def plain_draw(seed, rule, row, copy, position):
    state = xxh3_64_intdigest(rule.encode(), seed % 2**64)
    for counter in (row, copy, position):
        state = mixed((state + (counter + 1) * 0x9E3779B97F4A7C15) % 2**64)
    return state


@given(st.integers(-(2**63), 2**64), st.integers(0, 2**62), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
@settings(deadline=None, max_examples=50)
def test_draws_are_those_of_the_plain_formula(seed, row, copy, position):
    of_row = row_draws(seed, "pos", np.array([row]), np.array([copy], np.int32))
    of_word = position_draws(of_row, np.array([position], np.int32))
    assert int(of_word[0]) == plain_draw(seed, "pos", row, copy, position)


def test_draws_have_the_same_values_for_ever():
    # Another value here means that every seed in use gives other data; remade with ``plain_draw``.
    of_row = row_draws(7, "mask", np.array([0, 1, 10**9]), np.array([1, 2, 20], np.int32))
    of_word = position_draws(of_row, np.array([0, 1, 99], np.int32))
    assert of_word.tolist() == [15146814592849043056, 1696748858870714361, 4851747976134201835]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50), st.integers(1, 2**40))
@settings(deadline=None, max_examples=100)
def test_below_stays_below(draws, n):
    whole = below(np.array(draws, np.uint64), n)
    assert whole.min() >= 0
    assert whole.max() < n


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 100])
def test_below_is_uniform(n):
    counts = np.bincount(below(many_row_draws(), n), minlength=n)
    assert len(counts) == n
    assert n == 1 or chisquare(counts).pvalue > LEAST_P


def test_below_takes_a_bound_for_each_draw():
    bounds = np.tile(np.arange(1, 11), COUNT // 10)
    whole = below(many_row_draws(), bounds)
    for n in range(1, 11):
        assert sorted(set(whole[bounds == n].tolist())) == list(range(n))


@given(st.lists(st.floats(0, 1), min_size=0, max_size=6), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
@settings(deadline=None, max_examples=200)
def test_successive_intervals_take_each_draw_once(cuts, draws):
    edges = [0.0, *sorted(cuts), 1.0]
    taken = sum(within(np.array(draws, np.uint64), low, high).astype(int) for low, high in pairwise(edges))
    assert (taken == 1).all()


def test_an_empty_interval_takes_nothing_and_the_whole_one_takes_all():
    draws = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    assert not within(draws, 0.0, 0.0).any()
    assert not within(draws, 1.0, 1.0).any()
    assert within(draws, 0.0, 1.0).all()


def test_a_threshold_is_the_share_of_all_64_bit_numbers():
    assert (threshold(0.0), threshold(0.5), threshold(1.0)) == (0, 2**63, 2**64)


def test_the_global_generators_are_left_alone():
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - what is tested
    many_word_draws()
    after = np.random.get_state()  # noqa: NPY002
    assert random.getstate() == before
    assert after[0] == numpy_before[0]
    assert (after[1] == numpy_before[1]).all()
    assert after[2:] == numpy_before[2:]
