"""The bootstrap: draws with replacement, intervals that hold the truth as often as they say, and bounded memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from students import _intervals as module
from students._intervals import bootstrap, distinct_rows, interval, resample
from students.metrics import decisions, measure_of
from transferset import Task

TWO = Task("text", ("a",), "b", classes=("no", "yes"))
REGRESSION = Task("text", ("a",), "b", "regression")


def mean_of(values):
    return lambda weights: {"mean": weights @ values / weights.sum(1)}


def all_weights(counts, resamples=50, seed=0):
    return np.concatenate(list(resample(np.array(counts), resamples, seed)))


# Many rows of few kinds are drawn in another way than few of many.
@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [3, 1, 2], [1000, 20, 1], [40]])
def test_a_resample_has_as_many_rows_as_there_are_and_only_of_kinds_that_there_are(counts):
    weights = all_weights(counts)
    assert weights.shape == (50, len(counts))
    assert (weights.sum(1) == sum(counts)).all()
    assert (weights >= 0).all()
    assert (weights == weights.round()).all()


@pytest.mark.parametrize("counts", [[1] * 6, [2, 1, 3], [60, 30, 10], [400, 100]])
def test_how_often_a_kind_comes_is_binomial(counts):
    counts, draws = np.array(counts), 4000
    weights, share = all_weights(counts, draws), counts / counts.sum()
    error = np.sqrt(counts * (1 - share) / draws)
    assert (np.abs(weights.mean(0) - counts) < 5 * error + 1e-9).all()
    variance = counts * (1 - share)
    assert weights.var(0) == pytest.approx(variance, rel=0.15, abs=1e-9)


@pytest.mark.parametrize("counts", [[1] * 30, [500, 7, 9]])
def test_the_draws_are_those_of_the_seed_however_many_are_made_at_a_time(monkeypatch, counts):
    whole = all_weights(counts)
    assert np.array_equal(whole, all_weights(counts))
    assert not np.array_equal(whole, all_weights(counts, seed=1))
    for together in (1, 90):
        monkeypatch.setattr(module, "_TOGETHER", together)
        assert np.array_equal(whole, all_weights(counts))


def test_the_global_generator_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    all_weights([5, 5])
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_memory_does_not_grow_with_the_number_of_resamples():
    sizes = [each.size for each in resample(np.ones(1 << 18, np.int64), 20, 0)]
    assert max(sizes) <= 1 << 20
    assert sum(sizes) == 20 << 18


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution():
    right = np.arange(200) < 170
    found = bootstrap(mean_of(right.astype(float)), np.ones(200, np.int64), 20_000, 0)["mean"]
    expected = stats.binom.ppf([0.025, 0.975], 200, 0.85) / 200
    assert interval(found) == pytest.approx(expected, abs=0.006)


def test_rows_that_are_alike_may_be_counted_as_one():
    gold = np.repeat([1, 0, 1, 0], [60, 25, 10, 5])
    chosen = np.repeat([1, 0, 0, 1], [60, 25, 10, 5])
    by_row = bootstrap(measure_of(chosen, gold, TWO), np.ones(100, np.int64), 4000, 0)
    first, counts = distinct_rows([chosen, gold])
    by_kind = bootstrap(measure_of(chosen[first], gold[first], TWO), counts, 4000, 1)
    assert counts.tolist() == [60, 25, 10, 5]
    for name in ("accuracy", "f1", "mcc"):
        assert interval(by_kind[name]) == pytest.approx(interval(by_row[name]), abs=0.02)


def test_the_interval_is_scipys():
    random = np.random.default_rng(0)
    gold = random.normal(size=(80, 1))
    student = (gold + random.normal(0, 0.7, (80, 1))).astype(np.float32)
    drawn = bootstrap(measure_of(decisions(student, REGRESSION), gold, REGRESSION), np.ones(80, np.int64), 4000, 0)
    expected = stats.bootstrap(
        (student[:, 0], gold[:, 0]),
        lambda a, b: stats.pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert interval(drawn["pearson"]) == pytest.approx(list(expected), abs=0.02)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    random, inside = np.random.default_rng(0), 0
    for seed in range(300):
        right = (random.random(150) < 0.8).astype(float)
        low, high = interval(bootstrap(mean_of(right), np.ones(150, np.int64), 400, seed)["mean"])
        inside += low <= 0.8 <= high
    assert 0.89 <= inside / 300 <= 0.98


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 11), st.integers(0, 2**32 - 1))
def test_distinct_rows_are_those_of_numpy(rows, classes, seed):
    random = np.random.default_rng(seed)
    columns = [random.integers(0, 3, rows), random.integers(0, 2, (rows, classes)).astype(np.bool_)]
    together = np.concatenate([columns[0][:, None], columns[1]], 1)
    _, first, counts = np.unique(together, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    found, number = distinct_rows(columns)
    assert (found.tolist(), number.tolist()) == (first[order].tolist(), counts[order].tolist())


def test_scores_are_rows_of_their_own():
    first, counts = distinct_rows([np.array([1.0, 1.0]), np.array([2, 2])])
    assert (first.tolist(), counts.tolist()) == ([0, 1], [1, 1])


def test_no_resamples_give_no_figures():
    assert bootstrap(mean_of(np.ones(3)), np.ones(3, np.int64), 0, 0) == {}
