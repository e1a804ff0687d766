"""The bag of words: the mean of a text's vectors, so the order of its words is lost, and its padding does not count."""

import numpy as np
import pytest
import torch

from students._words import Vocabulary
from students.bag import Bag, BagEncoder
from transferset import StillhouseError, Task

TASK = Task("text", ("text",), classes=("no", "yes"))


@pytest.mark.parametrize("tokens", [5, 9])
def test_a_text_is_the_mean_of_its_vectors(tokens):
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(3, tokens, 4)).astype(np.float32))
    lengths = torch.tensor([5, 1, 3])
    found = BagEncoder(4)(vectors, lengths)
    wanted = np.stack([row[:length].mean(0) for row, length in zip(vectors.numpy(), (5, 1, 3), strict=True)])
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)


def test_texts_that_are_all_as_long_need_no_lengths():
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32))
    encoder = BagEncoder(4)
    np.testing.assert_allclose(encoder(vectors, None), encoder(vectors, torch.full((3,), 5)), atol=1e-6)


def test_the_order_of_words_is_lost():
    with torch.random.fork_rng(devices=[]):
        model = Bag(hidden=8, vector_width=8).build(Vocabulary(("a", "b", "c")), TASK, 2).eval()
    with torch.inference_mode():
        one, other = model(torch.tensor([[3, 4, 5], [5, 3, 4]]), torch.tensor([3, 3]))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("name", ["hidden", "vector_width"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(StillhouseError, match=f"bag: {name} must be at least 1, got 0"):
        Bag(**{name: 0})


def test_a_dropout_that_is_no_share_is_refused():
    with pytest.raises(StillhouseError, match=r"bag: dropout must be between 0 and 1, got 1\.5"):
        Bag(dropout=1.5)
