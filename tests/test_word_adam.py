"""Adam for word vectors: to the last digits torch's SparseAdam, and a step touches the words of its batch alone."""

import numpy as np
import pytest
import torch

from students._word_adam import BETAS, EPSILON, WordAdam

WORDS, WIDTH, STEPS = 30, 5, 300


def batches(seed, all_words=False):
    """For each step the distinct words that were seen and their gradients, some of which are zero."""
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        seen = WORDS if all_words else random.integers(1, WORDS // 2)
        words = torch.from_numpy(np.sort(random.choice(WORDS, seen, replace=False)))
        gradient = random.normal(0, 10.0 ** random.integers(-3, 2), (seen, WIDTH)).astype(np.float32)
        gradient[random.random(seen) < 0.1] = 0.0
        yield words, torch.from_numpy(gradient), 0.01 * float(random.random() + 0.1)


def start(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(WORDS, WIDTH)).astype(np.float32))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_it_is_sparse_adam(seed, monkeypatch):
    # Torch adds epsilon before the second moment is corrected, this after, as torch's Adam does: see below.
    tiny = 1e-30
    monkeypatch.setattr("students._word_adam.EPSILON", tiny)
    ours = start()
    theirs = torch.nn.Parameter(start())
    adam, optimizer = WordAdam(ours), torch.optim.SparseAdam([theirs], betas=BETAS, eps=tiny)
    for number, (words, gradient, rate) in enumerate(batches(seed)):
        adam.step(words, gradient, rate, number + 1)
        theirs.grad = torch.sparse_coo_tensor(words[None], gradient, (WORDS, WIDTH))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        np.testing.assert_allclose(ours, theirs.detach(), atol=1e-6)
    assert (ours - start()).abs().max() > 0.1


def test_where_every_word_is_seen_it_is_adam():
    ours = start()
    theirs = torch.nn.Parameter(start())
    adam, optimizer = WordAdam(ours), torch.optim.Adam([theirs], betas=BETAS, eps=EPSILON)
    for number, (words, gradient, rate) in enumerate(batches(7, all_words=True)):
        adam.step(words, gradient, rate, number + 1)
        theirs.grad = gradient[torch.argsort(words)]
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        np.testing.assert_allclose(ours, theirs.detach(), atol=2e-6)


def test_a_step_changes_the_words_of_its_batch_alone_and_in_place():
    table = start()
    adam = WordAdam(table)
    words = torch.tensor([3, 8])
    gradient = torch.ones(2, WIDTH)
    adam.step(words, gradient, 0.1, 1)
    changed = torch.nonzero((table != start()).any(1)).flatten()
    assert changed.tolist() == [3, 8]
    assert adam.table is table
    assert torch.nonzero(adam.first.any(1)).flatten().tolist() == [3, 8]
    assert torch.equal(gradient, torch.ones(2, WIDTH))


def test_a_vector_without_a_gradient_stays_where_it_never_had_one():
    """As that of the padding, which is in every batch."""
    table = start()
    adam = WordAdam(table)
    for step in range(1, 20):
        adam.step(torch.tensor([0, 4]), torch.stack([torch.zeros(WIDTH), torch.ones(WIDTH)]), 0.1, step)
    assert torch.equal(table[0], start()[0])
