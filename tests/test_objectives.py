"""Every objective: a finite scalar with a gradient, equal to torch's own loss where torch has it."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from students.objectives import load_objective, objectives
from students.objectives.cosine import Cosine
from students.objectives.embedding_mse import EmbeddingMse
from students.objectives.gold import Gold, gold_loss
from students.objectives.kl import Kl
from students.objectives.mse import Mse
from transferset import StillhouseError
from transferset.parameters import describe

TARGETS = ("classification", "multilabel", "regression")
CASES = [(name, target) for name, cls in objectives().items() for target in cls.targets]
MIXING = [(name, target) for name, target in CASES if hasattr(objectives()[name], "alpha")]
WIDTH = 5
rows_of_a_batch = st.integers(1, 9)
seeds = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, max_examples=25)


def gold_of(target, rows, random, classes=3):
    return {
        "classification": torch.from_numpy(random.integers(0, classes, rows)),
        "multilabel": torch.from_numpy(random.integers(0, 2, (rows, classes)).astype(np.bool_)),
        "regression": torch.from_numpy(random.normal(0, 1, (rows, 1)).astype(np.float32)),
    }[target]


def batch(target, rows=7, seed=0, signal="logits", classes=3, scale=2.0):
    """What the student gives, which takes a gradient, the teacher's, gold targets, and which rows have one."""
    random = np.random.default_rng(seed)
    width = WIDTH if signal == "embedding" else 1 if target == "regression" else classes
    student, teacher = (torch.from_numpy(random.normal(0, scale, (rows, width)).astype(np.float32)) for _ in range(2))
    has_gold = torch.from_numpy(random.integers(0, 2, rows).astype(np.bool_))
    has_gold[0] = True
    return student.requires_grad_(), teacher, gold_of(target, rows, random, classes), has_gold


def batch_for(name, target, rows=7, seed=0, scale=2.0):
    return batch(target, rows, seed, objectives()[name].signal, scale=scale)


def taken(given, rows):
    return [each[rows] for each in given]


def gradient(objective, student, *others):
    """The gradient of the loss in what the student gives."""
    (found,) = torch.autograd.grad(objective.loss(student, *others), student)
    return found


# What holds of every objective.


def test_the_published_objectives_are_found():
    assert {"cosine", "embedding_mse", "gold", "kl", "mse"} <= set(objectives())


@pytest.mark.parametrize("name", objectives())
def test_an_objective_is_a_frozen_record_with_defaults(name):
    objective = load_objective(name)
    assert type(objective) is objectives()[name]
    assert dataclasses.is_dataclass(objective)
    assert type(objective)(**describe(objective)) == objective
    assert isinstance(objective.needs_gold, bool)
    assert objective.signal in ("logits", "embedding")
    assert set(objective.targets) <= set(TARGETS)
    assert objective.signal == "logits" or objective.targets == TARGETS
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.anything = 1


@pytest.mark.parametrize(("name", "target"), CASES)
def test_a_loss_is_a_finite_scalar_with_a_gradient_and_changes_no_input(name, target):
    given_ = batch_for(name, target)
    before = [each.detach().clone() for each in given_]
    loss = load_objective(name).loss(*given_)
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss.item() > 0
    assert torch.isfinite(given_[0].grad).all()
    assert given_[0].grad.abs().max() > 0
    assert all(torch.equal(a, b) for a, b in zip(before, given_, strict=True))


@quick
@given(st.sampled_from(CASES), rows_of_a_batch, seeds, st.sampled_from([0.0, 0.3, 1.0]))
def test_the_order_of_rows_does_not_matter(case, rows, seed, alpha):
    name, target = case
    given_ = batch_for(name, target, rows, seed)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(rows))
    objective = load_objective(name, {"alpha": alpha} if case in MIXING else {})
    torch.testing.assert_close(objective.loss(*given_), objective.loss(*taken(given_, order)))


@quick
@given(st.sampled_from(CASES), rows_of_a_batch, seeds)
def test_a_batch_twice_over_has_the_same_loss(case, rows, seed):
    given_ = batch_for(*case, rows, seed)
    twice = [torch.cat([each, each]) for each in given_]
    objective = load_objective(case[0])
    torch.testing.assert_close(objective.loss(*given_), objective.loss(*twice))


@quick
@given(st.sampled_from(CASES), rows_of_a_batch, seeds, st.sampled_from([1e-4, 1.0, 1e4]))
def test_loss_and_gradient_stay_finite_where_numbers_are_large_or_small(case, rows, seed, scale):
    student, *others = batch_for(*case, rows, seed, scale)
    objective = load_objective(case[0])
    assert torch.isfinite(objective.loss(student, *others))
    assert torch.isfinite(gradient(objective, student, *others)).all()


@pytest.mark.parametrize(("name", "target"), CASES)
def test_the_loss_is_lowest_where_the_student_gives_what_the_teacher_gave(name, target):
    student, teacher, gold, has_gold = batch_for(name, target)
    objective = load_objective(name)
    if not objective.needs_gold:
        same = teacher.clone().requires_grad_()
        assert objective.loss(same, teacher, gold, has_gold).item() == pytest.approx(0, abs=1e-6)
        assert gradient(objective, same, teacher, gold, has_gold).abs().max() < 1e-6
        nearer = teacher + 0.5 * (student - teacher)
        assert objective.loss(nearer, teacher, gold, has_gold) < objective.loss(student, teacher, gold, has_gold)


def test_an_unknown_objective_is_refused_and_the_nearest_named():
    with pytest.raises(StillhouseError, match=r"loss: must be one of .*mse.*, got 'msee': did you mean 'mse'\?"):
        load_objective("msee")


# Gold labels.


@pytest.mark.parametrize("target", TARGETS)
def test_gold_is_torchs_loss_over_the_rows_with_a_label(target):
    student, teacher, gold, has_gold = batch(target)
    known, wanted = student[has_gold], gold[has_gold]
    expected = {
        "classification": lambda: functional.cross_entropy(known, wanted),
        "multilabel": lambda: functional.binary_cross_entropy_with_logits(known, wanted.float()),
        "regression": lambda: functional.mse_loss(known, wanted),
    }[target]()
    assert 0 < has_gold.sum() < len(has_gold)
    assert torch.equal(Gold().loss(student, teacher, gold, has_gold), expected)
    assert torch.equal(Gold().loss(student, teacher * 3 + 1, gold, has_gold), expected)
    assert Gold().needs_gold


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_without_gold_labels_has_a_loss_of_nothing_that_can_be_differentiated(target):
    student, _, gold, has_gold = batch(target)
    loss = gold_loss(student, gold, torch.zeros_like(has_gold))
    loss.backward()
    assert (loss.item(), loss.shape) == (0.0, ())
    assert torch.equal(student.grad, torch.zeros_like(student))


@quick
@given(st.sampled_from([*MIXING, *(("gold", target) for target in TARGETS)]), rows_of_a_batch, seeds, st.floats(0, 1))
def test_what_stands_for_the_label_of_a_row_without_one_takes_no_part(case, rows, seed, alpha):
    name, target = case
    student, teacher, gold, has_gold = batch_for(name, target, rows, seed)
    objective = load_objective(name, {"alpha": alpha} if case in MIXING else {})
    other = gold.clone()
    other[~has_gold] = gold_of(target, rows, np.random.default_rng(seed + 1))[~has_gold]
    assert torch.equal(
        objective.loss(student, teacher, gold, has_gold), objective.loss(student, teacher, other, has_gold)
    )
    if name == "gold":
        assert torch.equal(gradient(objective, student, teacher, gold, has_gold)[~has_gold], student[~has_gold] * 0)


@quick
@given(st.sampled_from(MIXING), rows_of_a_batch, seeds, st.floats(0, 1))
def test_alpha_is_the_share_of_gold_labels(case, rows, seed, alpha):
    name, target = case
    given_ = batch_for(name, target, rows, seed)
    of_teacher, of_gold = load_objective(name).loss(*given_), Gold().loss(*given_)
    torch.testing.assert_close(load_objective(name, {"alpha": 0.0}).loss(*given_), of_teacher)
    torch.testing.assert_close(load_objective(name, {"alpha": 1.0}).loss(*given_), of_gold)
    torch.testing.assert_close(
        load_objective(name, {"alpha": alpha}).loss(*given_), (1 - alpha) * of_teacher + alpha * of_gold
    )


@pytest.mark.parametrize(("name", "target"), MIXING)
def test_without_alpha_and_where_no_row_has_a_label_gold_labels_take_no_part(name, target):
    student, teacher, gold, has_gold = batch_for(name, target)
    other = gold_of(target, len(gold), np.random.default_rng(1))
    assert not load_objective(name).needs_gold
    assert load_objective(name).loss(student, teacher, gold, has_gold) == load_objective(name).loss(
        student, teacher, other, has_gold
    )
    nobody = torch.zeros_like(has_gold)
    mixed = load_objective(name, {"alpha": 0.25}).loss(student, teacher, gold, nobody)
    torch.testing.assert_close(mixed, 0.75 * load_objective(name).loss(student, teacher, gold, nobody))


@pytest.mark.parametrize("name", sorted({name for name, _ in MIXING}))
@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan, math.inf])
def test_alpha_outside_its_range_is_refused(name, alpha):
    with pytest.raises(StillhouseError, match=f"{name}: alpha must be between 0 and 1, got"):
        load_objective(name, {"alpha": alpha})


# Squared error.


@pytest.mark.parametrize("target", TARGETS)
def test_mse_is_torchs(target):
    given_ = batch(target)
    student, teacher = given_[:2]
    assert torch.equal(Mse().loss(*given_), functional.mse_loss(student, teacher))
    torch.testing.assert_close(Mse().loss(*given_), ((student - teacher) ** 2).mean())


def test_a_score_is_fitted_to_the_teachers_and_not_to_the_gold_label():
    student, teacher, gold, has_gold = batch("regression")
    torch.testing.assert_close(
        gradient(Mse(), student, teacher, gold, has_gold), 2 * (student - teacher).detach() / len(student)
    )
    assert torch.equal(Mse().loss(student, teacher, gold, has_gold), Mse().loss(student, teacher, gold * 9, has_gold))


# Divergence.


@quick
@given(rows_of_a_batch, st.integers(2, 40), seeds, st.floats(0.25, 20))
def test_kl_is_torchs_batchmean_times_the_squared_temperature(rows, classes, seed, temperature):
    given_ = batch("classification", rows, seed, classes=classes)
    student, teacher = (each / temperature for each in given_[:2])
    expected = temperature**2 * torch.nn.KLDivLoss(reduction="batchmean")(
        torch.log_softmax(student, 1), torch.softmax(teacher, 1)
    )
    torch.testing.assert_close(Kl(temperature=temperature).loss(*given_), expected, rtol=1e-4, atol=1e-5)


@quick
@given(rows_of_a_batch, st.integers(1, 9), seeds, st.floats(0.25, 20))
def test_kl_of_several_labels_is_torchs_of_each_class_by_itself(rows, classes, seed, temperature):
    given_ = batch("multilabel", rows, seed, classes=classes)
    student, teacher = (torch.sigmoid(each.double() / temperature) for each in given_[:2])
    of_class = [
        torch.nn.KLDivLoss(reduction="batchmean")(
            torch.stack([student[:, place], 1 - student[:, place]], 1).log(),
            torch.stack([teacher[:, place], 1 - teacher[:, place]], 1),
        )
        for place in range(classes)
    ]
    expected = (temperature**2 * torch.stack(of_class).mean()).float()
    torch.testing.assert_close(Kl(temperature=temperature).loss(*given_), expected, rtol=1e-4, atol=1e-5)


def test_kl_of_one_label_is_that_of_two_classes():
    student, teacher, gold, has_gold = batch("multilabel", classes=1)
    two = [torch.cat([each, torch.zeros_like(each)], 1) for each in (student, teacher)]
    codes = torch.zeros(len(gold), dtype=torch.int64)
    torch.testing.assert_close(Kl().loss(student, teacher, gold, has_gold), Kl().loss(*two, codes, has_gold))


def test_kl_with_soft_targets_has_the_gradient_of_cross_entropy_with_them():
    given_ = batch("classification")
    student, teacher = given_[:2]
    (expected,) = torch.autograd.grad(functional.cross_entropy(student / 3, torch.softmax(teacher / 3, 1)) * 9, student)
    torch.testing.assert_close(gradient(Kl(temperature=3.0), *given_), expected)


@pytest.mark.parametrize("target", Kl.targets)
def test_the_gradient_is_of_one_size_at_every_temperature(target):
    # Without the factor it falls with the square of the temperature, and divided by it with the fourth power.
    student, *others = batch(target, rows=64)
    sizes = [gradient(Kl(temperature=t), student * 0.1, *others).norm().item() for t in (1.0, 2.0, 8.0, 32.0)]
    near = [gradient(Kl(temperature=t), student, others[0] * 0.1, *others[1:]).norm().item() for t in (4.0, 64.0)]
    assert max(sizes) < 3 * min(sizes), sizes
    assert max(near) < 3 * min(near), near


@pytest.mark.parametrize(("target", "share"), [("classification", 1 / 2), ("multilabel", 1 / 8)])
def test_at_a_high_temperature_it_is_a_share_of_the_squared_error_of_logits(target, share):
    student, teacher, gold, has_gold = (each.double() if each.is_floating_point() else each for each in batch(target))
    if target == "classification":
        student, teacher = (each - each.mean(1, keepdim=True) for each in (student, teacher))
    loss = Kl(temperature=1e4).loss(student, teacher, gold, has_gold)
    torch.testing.assert_close(loss, share * functional.mse_loss(student, teacher), rtol=1e-3, atol=0)


@pytest.mark.parametrize("target", Kl.targets)
def test_the_loss_does_not_shrink_with_the_number_of_classes(target):
    # Divided by their number, the divergence of one softmax would be ten times as large with 3 classes as with 30.
    few, many = (batch(target, rows=400, classes=classes, scale=0.3) for classes in (3, 30))
    assert Kl().loss(*many).item() == pytest.approx(Kl().loss(*few).item(), rel=0.5)


@pytest.mark.parametrize("target", Kl.targets)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 10.0])
def test_kl_of_logits_of_ten_thousand_is_exact(target, temperature):
    student = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 1e4]], requires_grad=True)
    teacher = torch.tensor([[-1e4, 1e4], [-1e4, 1e4], [0.0, -1e4]])
    gold = torch.zeros(3, 2, dtype=torch.bool) if target == "multilabel" else torch.zeros(3, dtype=torch.int64)
    objective = Kl(temperature=temperature)
    loss, slope = (
        each(student, teacher, gold, torch.zeros(3, dtype=torch.bool))
        for each in (objective.loss, gradient_of(objective))
    )
    # A wrong answer that is certain costs the difference of the logits: 20,000 and 0 and 10,000 in one softmax.
    rows = (2e4, 0, 1e4) if target == "classification" else ((1e4 + 1e4) / 2, 0, 1e4 / 2)
    assert loss.item() == pytest.approx(temperature * sum(rows) / 3, rel=1e-5)
    assert torch.isfinite(slope).all()


def gradient_of(objective):
    return lambda *given: gradient(objective, *given)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(StillhouseError, match="kl: temperature must be above 0 and finite, got"):
        Kl(temperature=temperature)


def test_a_score_has_no_divergence():
    assert "regression" not in Kl.targets


# Embeddings.


def embeddings(rows=6, seed=0):
    return batch("classification", rows, seed, "embedding")


@quick
@given(rows_of_a_batch, seeds)
def test_cosine_is_torchs_and_free_in_the_length(rows, seed):
    student, teacher, *others = embeddings(rows, seed)
    expected = torch.nn.CosineEmbeddingLoss()(student, teacher, torch.ones(rows))
    torch.testing.assert_close(Cosine().loss(student, teacher, *others), expected)
    torch.testing.assert_close(Cosine().loss(student * 30, teacher * 0.2, *others), expected)


def test_embedding_mse_is_torchs():
    student, teacher, *others = embeddings()
    assert torch.equal(EmbeddingMse().loss(student, teacher, *others), torch.nn.MSELoss()(student, teacher))


@pytest.mark.parametrize("who", ["student", "teacher", "both"])
def test_a_vector_of_zeros_is_at_distance_one_and_moves_no_further_than_others(who):
    student, teacher, *others = embeddings()
    with torch.no_grad():
        student[0] *= who == "teacher"
        teacher[0] *= who == "student"
    rest = 1 - functional.cosine_similarity(student[1:], teacher[1:])
    torch.testing.assert_close(Cosine().loss(student, teacher, *others), (1 + rest.sum()) / len(student))
    slope = gradient(Cosine(), student, teacher, *others)
    assert torch.isfinite(slope).all()
    assert slope[0].norm() <= teacher[0].norm()


@pytest.mark.parametrize("objective", [Cosine(), EmbeddingMse()])
def test_what_is_labelled_changes_nothing_for_embeddings(objective):
    student, teacher, gold, has_gold = embeddings()
    assert objective.signal == "embedding"
    assert objective.loss(student, teacher, gold, has_gold) == objective.loss(student, teacher, gold + 1, ~has_gold)
