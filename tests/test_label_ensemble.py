"""Labelling with several teachers: each asked once, their mean, and nothing asked for other weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from counting_teacher import TASK, TEXTS, Counting, by_key, transfer_set
from scipy.special import log_softmax, softmax

from label import label as label_rows
from label import label_ensemble
from transferset import Ensemble, LogitCache, StillhouseError, Task


def named(*names, **options):
    """Teachers of these names, of which each says other numbers."""
    return [(name, Counting(name=name, scale=1.0 + place, **options)) for place, name in enumerate(names)]


def calls_of(teachers):
    return [len(teacher.seen) for _, teacher in teachers]


def member_logits(out):
    """(members, B, C), in order of the keys and of the task's classes."""
    ensemble = Ensemble.open(out)
    keys = by_key(out / ensemble.members[0].folder)[0]
    return keys, np.stack([cache.logits(keys, TASK) for cache in ensemble.caches()])


@pytest.mark.parametrize("mean", ["logits", "probabilities"])
@pytest.mark.parametrize("weights", [(), (3.0, 1.0)])
def test_the_cache_says_the_mean_of_what_its_teachers_say(tmp_path, mean, weights):
    teachers = named("a", "b")
    label_ensemble(transfer_set(tmp_path, TEXTS), teachers, tmp_path / "L", weights, mean)
    assert calls_of(teachers) == [40, 40]
    keys, each = member_logits(tmp_path / "L")
    assert np.abs(each[0] - each[1]).max() > 0.1
    shares = np.array(weights or (1.0, 1.0)) / sum(weights or (1.0, 1.0))
    found = Ensemble.open(tmp_path / "L").logits(keys, TASK)
    if mean == "logits":
        expected = np.tensordot(shares, each, 1)
    else:
        expected = np.log(np.tensordot(shares, softmax(each.astype(np.float64), 2), 1))
        found = log_softmax(found.astype(np.float64), 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert Ensemble.open(tmp_path / "L").verify() == []


def test_a_teacher_with_its_classes_in_another_order_counts_for_the_right_ones(tmp_path):
    teachers = [("a", Counting(name="a")), ("b", Counting(name="b", classes=("pos", "neg")))]
    label_ensemble(transfer_set(tmp_path, TEXTS), teachers, tmp_path / "L")
    keys, each = member_logits(tmp_path / "L")
    # Both say the same, each of the class that stands there.
    np.testing.assert_array_equal(each[0], each[1][:, ::-1])
    found = Ensemble.open(tmp_path / "L").logits(keys, TASK)
    np.testing.assert_allclose(found, each.mean(0), atol=1e-6)


def test_one_teacher_under_two_names_is_refused_before_anybody_is_asked(tmp_path):
    teachers = [("a", Counting(name="a")), *named("b"), ("./a", Counting(name="a"))]
    with pytest.raises(StillhouseError, match=r"each must be given once, got \./a, which is a: give it a larger"):
        label_ensemble(transfer_set(tmp_path, TEXTS), teachers, tmp_path / "L")
    assert calls_of(teachers) == [0, 0, 0]


def test_a_teacher_that_is_added_is_the_only_one_asked(tmp_path):
    transfer, first = transfer_set(tmp_path, TEXTS), named("a", "b")
    label_ensemble(transfer, first, tmp_path / "L")
    teachers = named("a", "b", "c")
    done = label_ensemble(transfer, teachers, tmp_path / "L")
    assert calls_of(teachers) == [0, 0, 40]
    assert [each.labelled for each in done] == [0, 0, 40]
    assert [member.teacher for member in Ensemble.open(tmp_path / "L").members] == ["a", "b", "c"]


def test_a_teacher_that_is_left_out_counts_no_more_and_is_not_asked_when_it_comes_back(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_ensemble(transfer, named("a", "b", "c"), tmp_path / "L")
    label_ensemble(transfer, named("a", "b"), tmp_path / "L")
    assert len(Ensemble.open(tmp_path / "L").members) == 2
    again = named("a", "b", "c")
    label_ensemble(transfer, again, tmp_path / "L")
    assert calls_of(again) == [0, 0, 0]


def test_other_weights_or_another_mean_ask_nobody(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_ensemble(transfer, named("a", "b"), tmp_path / "L")
    keys, each = member_logits(tmp_path / "L")
    teachers = named("a", "b")
    label_ensemble(transfer, teachers, tmp_path / "L", (1.0, 9.0))
    found = Ensemble.open(tmp_path / "L").logits(keys, TASK)
    np.testing.assert_allclose(found, 0.1 * each[0] + 0.9 * each[1], atol=1e-6)
    label_ensemble(transfer, teachers, tmp_path / "L", (), "probabilities")
    assert Ensemble.open(tmp_path / "L").mean == "probabilities"
    assert calls_of(teachers) == [0, 0]


def test_of_a_larger_transfer_set_each_is_asked_for_what_is_new(tmp_path):
    label_ensemble(transfer_set(tmp_path / "a", TEXTS[:25]), named("a", "b"), tmp_path / "L")
    teachers = named("a", "b")
    label_ensemble(transfer_set(tmp_path / "b", TEXTS), teachers, tmp_path / "L")
    assert [sorted(teacher.seen) for _, teacher in teachers] == [sorted(TEXTS[25:])] * 2


def test_an_interrupted_run_goes_on_where_it_was(tmp_path):
    transfer, teachers = transfer_set(tmp_path, TEXTS), named("a", "b")
    broken = [teachers[0], ("b", replace(teachers[1][1], fail_at=3))]
    # How a teacher fails is an option of these; as one that does not matter it is left out of their names.
    with pytest.raises(ConnectionError):
        label_ensemble(transfer, broken, tmp_path / "L")
    rest = named("a", "b")
    label_ensemble(transfer, rest, tmp_path / "L")
    assert calls_of(rest)[0] == 0
    assert Ensemble.open(tmp_path / "L").verify() == []


def test_teachers_of_one_name_in_different_folders_are_two(tmp_path):
    teachers = [("x/model", Counting(name="x")), ("y/model", Counting(name="y", scale=2.0))]
    label_ensemble(transfer_set(tmp_path, TEXTS), teachers, tmp_path / "L")
    assert calls_of(teachers) == [40, 40]
    assert len({member.folder for member in Ensemble.open(tmp_path / "L").members}) == 2


@pytest.mark.parametrize(
    ("teachers", "weights", "says"),
    [
        (named("a", "b"), (1.0,), "weight: must be given for each of 2 teachers, got 1"),
        (named("a", "b"), (1.0, 0.0), "weight: must be above 0 and finite, got 0"),
        (named("a", "b"), (1.0, -1.0), "weight: must be above 0 and finite, got -1"),
        (named("a", "b"), (1.0, float("nan")), "weight: must be above 0 and finite, got nan"),
        ([*named("a"), *named("a")], (), "teacher: each must be given once, got a twice"),
    ],
)
def test_what_makes_no_ensemble_is_refused_before_anybody_is_asked(tmp_path, teachers, weights, says):
    with pytest.raises(StillhouseError, match=says):
        label_ensemble(transfer_set(tmp_path, TEXTS), teachers, tmp_path / "L", weights)
    assert calls_of(teachers) == [0, 0]
    assert not (tmp_path / "L").exists()


def test_a_teacher_without_logits_is_refused(tmp_path):
    class Vectors(Counting):
        gives = ("embedding",)

    with pytest.raises(StillhouseError, match="b: must give logits to be in an ensemble, got embedding"):
        label_ensemble(transfer_set(tmp_path, TEXTS), [*named("a"), ("b", Vectors())], tmp_path / "L")


def test_the_cache_of_one_teacher_is_not_made_an_ensemble_nor_the_other_way_round(tmp_path):
    transfer, teachers = transfer_set(tmp_path, TEXTS), named("a", "b")
    label_rows(transfer, Counting(), tmp_path / "L")
    with pytest.raises(StillhouseError, match="must be an ensemble, got a logit cache: use another --out or --force"):
        label_ensemble(transfer, teachers, tmp_path / "L")
    assert calls_of(teachers) == [0, 0]
    label_ensemble(transfer, teachers, tmp_path / "M")
    one = Counting()
    with pytest.raises(StillhouseError, match="must be a logit cache, got an ensemble"):
        label_rows(transfer, one, tmp_path / "M")
    assert one.seen == []


def test_the_mean_of_scores_is_their_mean(tmp_path):
    task = Task("text", ("text",), "label", "regression")
    transfer = transfer_set(tmp_path, TEXTS, task=task, scores=[float(n) for n in range(40)])
    label_ensemble(transfer, named("a", "b"), tmp_path / "L", mean="probabilities")
    ensemble = Ensemble.open(tmp_path / "L")
    keys = ensemble.keys()
    each = np.stack([cache.logits(keys, task) for cache in ensemble.caches()])
    np.testing.assert_allclose(ensemble.logits(keys, task), each.mean(0), atol=1e-6)
    assert LogitCache.open(tmp_path / "L" / ensemble.members[0].folder).classes == ()
