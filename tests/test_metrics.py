"""Metrics: as sklearn and scipy give them, and as counted by hand; of resamples as of the rows written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from students.metrics import agreement, agreement_of, decisions, measure_of, scores
from transferset import Task

BINARY = Task("text", ("a",), "b", classes=("no", "yes"))
THREE = Task("text", ("a",), "b", classes=("x", "y", "z"))
SEVERAL = Task("text", ("a",), "b", "multilabel", classes=("x", "y", "z"))
REGRESSION = Task("text", ("a",), "b", "regression")


def deciding(classes, count):
    """Logits whose largest is at the given classes."""
    return (np.eye(count, dtype=np.float32)[classes] * 3 - 1).astype(np.float32)


def test_two_classes_counted_by_hand():
    # Of class "yes": 2 right, 1 too many, 1 missed; of class "no": 4 right.
    gold, chosen = np.array([1, 1, 1, 0, 0, 0, 0, 0]), np.array([1, 1, 0, 1, 0, 0, 0, 0])
    found = scores(deciding(chosen, 2), gold, BINARY)
    assert found == pytest.approx({"accuracy": 6 / 8, "f1": 2 * 2 / (2 * 2 + 1 + 1), "mcc": (2 * 4 - 1) / 15})


def test_three_classes_counted_by_hand():
    gold, chosen = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    found = scores(deciding(chosen, 3), gold, THREE)
    # F1: x 2/3 (1 right, 1 missed), y 2/4 (1 right, 2 too many), z 0.
    assert found["accuracy"] == 0.5
    assert found["f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_a_class_that_is_nowhere_counts_as_zero_in_the_mean_over_classes():
    found = scores(deciding([0, 1], 3), np.array([0, 1]), THREE)
    assert found["f1"] == pytest.approx(2 / 3)


def test_several_labels_counted_by_hand():
    gold = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.float32)
    logits = np.array([[2, -1, 0.5], [-1, -2, -3], [1, 1, -1]], np.float32)
    found = scores(logits, gold, SEVERAL)
    # Rows all right: the first two. Labels: 3 right, 1 too many, none missed. F1: x 2/3, y and z 1.
    assert found == pytest.approx({"accuracy": 2 / 3, "f1_micro": 6 / 7, "f1_macro": (2 / 3 + 1 + 1) / 3})


def test_regression_counted_by_hand():
    found = scores(np.array([[1.0], [2.0], [3.0]], np.float32), np.array([[2.0], [4.0], [9.0]], np.float32), REGRESSION)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["mse"] == pytest.approx((1 + 4 + 36) / 3)
    assert found["pearson"] == pytest.approx(7 / np.sqrt(2 * 26))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("task", [BINARY, THREE])
def test_classification_equals_sklearn(task, seed):
    random, count = np.random.default_rng(seed), len(task.classes)
    logits, gold = random.normal(size=(40, count)).astype(np.float32), random.integers(0, count, 40)
    chosen = logits.argmax(1)
    average = "binary" if count == 2 else "macro"
    assert scores(logits, gold, task) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(gold, chosen),
            "f1": sk.f1_score(gold, chosen, average=average),
            "mcc": sk.matthews_corrcoef(gold, chosen),
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_several_labels_equal_sklearn(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(40, 3)).astype(np.float32)
    gold = random.integers(0, 2, (40, 3)).astype(np.float32)
    chosen = (logits > 0).astype(int)
    expected = {"accuracy": sk.accuracy_score(gold, chosen)}
    expected |= {f"f1_{kind}": sk.f1_score(gold, chosen, average=kind) for kind in ("micro", "macro")}
    assert scores(logits, gold, SEVERAL) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_regression_equals_scipy(seed):
    random = np.random.default_rng(seed)
    student, gold = random.normal(size=(2, 40, 1)).astype(np.float32)
    assert scores(student, gold, REGRESSION) == pytest.approx(
        {
            "pearson": stats.pearsonr(student[:, 0], gold[:, 0]).statistic,
            "spearman": stats.spearmanr(student[:, 0], gold[:, 0]).statistic,
            "mse": sk.mean_squared_error(gold, student),
        },
        rel=1e-5,
    )


# Each of these runs with warnings as errors: a library's warning would fall into the user's terminal.


@pytest.mark.parametrize("chosen", [0, 1])
def test_an_answer_that_is_always_the_same_is_scored_without_a_warning(chosen):
    found = scores(deciding([chosen] * 4, 2), np.array([0, 0, 0, 1]), BINARY)
    assert found["accuracy"] == (0.75, 0.25)[chosen]
    assert found["mcc"] == 0
    assert found["f1"] == pytest.approx((0.0, 2 / 5)[chosen])


@pytest.mark.parametrize("only", [0, 1])
def test_a_file_of_one_class_is_scored_without_a_warning(only):
    found = scores(deciding([only] * 3, 2), np.full(3, only), BINARY)
    assert found == {"accuracy": 1.0, "f1": float(only), "mcc": 0.0}


def test_a_single_row_is_scored_without_a_warning():
    assert scores(deciding([2], 3), np.array([2]), THREE)["accuracy"] == 1


def test_several_labels_of_which_none_is_right_or_wanted_are_scored_without_a_warning():
    nothing = np.zeros((3, 3), np.float32)
    assert scores(nothing - 1, nothing, SEVERAL) == {"accuracy": 1.0, "f1_micro": 0.0, "f1_macro": 0.0}


def test_several_labels_may_be_one():
    task = Task("text", ("a",), "b", "multilabel", classes=("x",))
    found = scores(np.array([[1], [-1], [1]], np.float32), np.array([[1], [0], [0]], np.float32), task)
    assert found == pytest.approx({"accuracy": 2 / 3, "f1_micro": 2 / 3, "f1_macro": 2 / 3})


@pytest.mark.parametrize("which", ["student", "gold", "both", "one row"])
def test_a_correlation_with_a_constant_is_zero(which):
    changing, constant = np.array([[1.0], [2.0], [4.0]], np.float32), np.full((3, 1), 2.0, np.float32)
    student = constant if which in ("student", "both") else changing
    gold = constant if which in ("gold", "both") else changing
    if which == "one row":
        student, gold = student[:1], gold[:1] + 1
    found = scores(student, gold, REGRESSION)
    assert (found["pearson"], found["spearman"]) == (0.0, 0.0)
    assert found["mse"] == pytest.approx(float(((student - gold) ** 2).mean()))


def test_a_correlation_with_a_nearly_constant_student_is_finite_and_makes_no_warning():
    student = np.array([[1000.0], [1000.0], [1000.0 + 1e-4]], np.float32)
    assert np.ptp(student) > 0
    found = scores(student, np.array([[1.0], [2.0], [3.0]], np.float32), REGRESSION)
    assert -1 <= found["pearson"] <= 1


def test_all_figures_are_plain_numbers():
    found = scores(deciding([0, 1], 2), np.array([0, 0]), BINARY)
    found |= scores(np.array([[1.0], [2.0]], np.float32), np.array([[1.0], [3.0]], np.float32), REGRESSION)
    assert {type(value) for value in found.values()} == {float}


def test_agreement_is_the_share_of_like_decisions():
    one, other = deciding([0, 1, 2, 1], 3), deciding([0, 1, 1, 2], 3) * 5 + 2
    assert agreement(one, other, THREE) == 0.5
    assert agreement(one, one * 7, THREE) == 1.0


def test_agreement_on_several_labels_is_on_all_of_a_row():
    one = np.array([[1, 1, -1], [1, -1, -1]], np.float32)
    other = np.array([[2, 3, -9], [1, 1, -1]], np.float32)
    assert agreement(one, other, SEVERAL) == 0.5


def test_agreement_in_regression_is_the_correlation():
    one = np.array([[1.0], [2.0], [4.0]], np.float32)
    assert agreement(one, one * 3 + 1, REGRESSION) == pytest.approx(1.0)
    assert agreement(one, -one, REGRESSION) == pytest.approx(-1.0)


# Of resamples.


def rows_of(task, rows, random):
    """Logits and gold targets with many ties, and rows that are alike."""
    logits = random.integers(-1, 2, (rows, task.outputs)).astype(np.float32)
    if task.target == "classification":
        return logits, random.integers(0, task.outputs, rows)
    if task.target == "multilabel":
        return logits, random.integers(0, 2, (rows, task.outputs)).astype(np.bool_)
    return logits, random.integers(0, 4, (rows, 1)).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([BINARY, THREE, SEVERAL, REGRESSION]), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_resample_has_the_metrics_of_its_rows_written_out(task, rows, seed):
    random = np.random.default_rng(seed)
    (logits, gold), (other, _) = rows_of(task, rows, random), rows_of(task, rows, random)
    weights = random.multinomial(rows, np.full(rows, 1 / rows), 4).astype(np.float64)
    found = measure_of(decisions(logits, task), gold, task)(weights)
    alike = agreement_of(decisions(logits, task), decisions(other, task))(weights)["agreement"]
    for place, counts in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(rows), counts)
        expected = scores(logits[drawn], gold[drawn], task)
        assert {name: values[place] for name, values in found.items()} == pytest.approx(expected, abs=1e-9)
        assert alike[place] == pytest.approx(agreement(logits[drawn], other[drawn], task), abs=1e-9)


def test_a_correlation_keeps_its_digits_far_from_zero_and_at_any_size():
    random = np.random.default_rng(0)
    gold = random.normal(size=(50, 1)).astype(np.float32)
    for scale, shift in ((1.0, 1e3), (1e-20, 0.0), (1e20, 0.0)):
        student = (gold * scale + shift + random.normal(0, 0.3 * scale, (50, 1))).astype(np.float32)
        expected = stats.pearsonr(student[:, 0].astype(np.float64), gold[:, 0].astype(np.float64)).statistic
        assert scores(student, gold, REGRESSION)["pearson"] == pytest.approx(expected, abs=1e-9)


def test_many_classes_are_measured_in_little_time():
    task = Task("text", ("a",), "b", classes=tuple(map(str, range(150))))
    random = np.random.default_rng(0)
    logits, gold = random.normal(size=(2000, 150)).astype(np.float32), random.integers(0, 150, 2000)
    expected = sk.f1_score(gold, logits.argmax(1), average="macro", labels=range(150), zero_division=0)
    assert scores(logits, gold, task)["f1"] == pytest.approx(expected)
