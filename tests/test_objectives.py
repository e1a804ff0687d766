"""Every objective: a finite scalar with a gradient, equal to torch's own loss where torch has it."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from students import load_objective, objectives
from students.objectives.gold import Gold
from students.objectives.mse import Mse
from transferset import StillhouseError
from transferset.parameters import describe

TARGETS = ("classification", "multilabel", "regression")


def batch(target, rows=7, seed=0):
    """Student logits that take a gradient, teacher logits, and gold targets of some rows."""
    random = np.random.default_rng(seed)
    outputs = 1 if target == "regression" else 3
    student, teacher = (torch.from_numpy(random.normal(0, 2, (rows, outputs)).astype(np.float32)) for _ in range(2))
    gold = {
        "classification": torch.from_numpy(random.integers(0, 3, rows)),
        "multilabel": torch.from_numpy(random.integers(0, 2, (rows, 3)).astype(np.float32)),
        "regression": torch.from_numpy(random.normal(0, 1, (rows, 1)).astype(np.float32)),
    }[target]
    return student.requires_grad_(), teacher, gold


def test_the_published_objectives_are_found():
    assert {"gold", "mse"} <= set(objectives())


@pytest.mark.parametrize("name", objectives())
def test_an_objective_is_a_frozen_record_with_defaults(name):
    objective = load_objective(name)
    assert type(objective) is objectives()[name]
    assert dataclasses.is_dataclass(objective)
    assert type(objective)(**describe(objective)) == objective
    assert isinstance(objective.needs_gold, bool)
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.anything = 1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", objectives())
def test_a_loss_is_a_finite_scalar_with_a_gradient_and_changes_no_input(name, target):
    student, teacher, gold = batch(target)
    before = [each.detach().clone() for each in (student, teacher, gold)]
    loss = load_objective(name).loss(student, teacher, gold)
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.item() > 0
    assert torch.isfinite(student.grad).all()
    assert student.grad.abs().max() > 0
    assert all(torch.equal(a, b) for a, b in zip(before, (student, teacher, gold), strict=True))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", objectives())
def test_the_order_of_rows_does_not_matter(name, target):
    student, teacher, gold = batch(target)
    order = torch.randperm(len(student), generator=torch.Generator().manual_seed(0))
    objective = load_objective(name)
    one, other = (objective.loss(*(each[rows] for each in (student, teacher, gold))) for rows in (slice(None), order))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", objectives())
def test_a_batch_of_one_row_has_a_loss(name, target):
    assert torch.isfinite(load_objective(name).loss(*batch(target, rows=1)))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", objectives())
def test_the_loss_stays_finite_where_logits_are_large(name, target):
    student, teacher, gold = batch(target)
    assert torch.isfinite(load_objective(name).loss(student * 1e4, teacher * 1e4, gold))


@pytest.mark.parametrize("target", TARGETS)
def test_mse_is_torchs_and_lowest_at_the_teachers_logits(target):
    student, teacher, gold = batch(target)
    assert torch.equal(Mse().loss(student, teacher, gold), functional.mse_loss(student, teacher))
    torch.testing.assert_close(Mse().loss(student, teacher, gold), ((student - teacher) ** 2).mean())
    assert Mse().loss(teacher, teacher, gold) == 0
    assert not Mse().needs_gold


def test_gold_is_cross_entropy_for_classification():
    student, teacher, gold = batch("classification")
    assert torch.equal(Gold().loss(student, teacher, gold), functional.cross_entropy(student, gold))
    assert Gold().needs_gold


def test_gold_is_binary_cross_entropy_for_several_labels():
    student, teacher, gold = batch("multilabel")
    expected = functional.binary_cross_entropy_with_logits(student, gold)
    assert torch.equal(Gold().loss(student, teacher, gold.bool()), expected)


def test_gold_is_the_squared_error_for_regression():
    student, teacher, gold = batch("regression")
    assert torch.equal(Gold().loss(student, teacher, gold), functional.mse_loss(student, gold))


def test_gold_takes_nothing_from_the_teacher():
    student, teacher, gold = batch("classification")
    assert torch.equal(Gold().loss(student, teacher, gold), Gold().loss(student, teacher * 3 + 1, gold))


def test_an_unknown_objective_is_refused_and_the_nearest_named():
    with pytest.raises(StillhouseError, match=r"loss: must be one of .*mse.*, got 'msee': did you mean 'mse'\?"):
        load_objective("msee")
