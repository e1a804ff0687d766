"""The convolutional network: each filter's largest answer over the words of a text, short texts too."""

import numpy as np
import pytest
import torch

from students.cnn import Cnn, CnnEncoder
from transferset import StillhouseError

SPANS = range(2, 5)
LENGTHS = (6, 1, 3, 2)


@pytest.fixture(scope="module")
def encoder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CnnEncoder(4, 5, SPANS)


def by_hand(encoder, text):
    """The answers of all filters at every place where they meet a word of a text, (T, E), and zeros around it."""
    found = []
    for filters, span in zip(encoder.filters, SPANS, strict=True):
        weights, bias = filters.weight.detach().numpy(), filters.bias.detach().numpy()
        padded = np.pad(text, ((span - 1, span - 1), (0, 0)))
        places = [padded[start : start + span] for start in range(len(text) + span - 1)]
        answers = [(weights * place.T).sum((1, 2)) + bias for place in places]
        found.append(np.maximum(answers, 0).max(0))
    return np.concatenate(found)


@pytest.mark.parametrize("tokens", [6, 11])
def test_a_text_is_the_largest_answer_of_each_filter(encoder, tokens):
    vectors = np.random.default_rng(0).normal(size=(len(LENGTHS), tokens, 4)).astype(np.float32)
    with torch.inference_mode():
        found = encoder(torch.from_numpy(vectors), torch.tensor(LENGTHS)).numpy()
    wanted = [by_hand(encoder, row[:length]) for row, length in zip(vectors, LENGTHS, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.shape == (len(LENGTHS), encoder.width)


def test_texts_that_are_all_as_long_need_no_lengths(encoder):
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32))
    with torch.inference_mode():
        np.testing.assert_allclose(encoder(vectors, None), encoder(vectors, torch.full((3,), 5)), atol=1e-6)


@pytest.mark.parametrize("name", ["filters", "shortest", "hidden", "vector_width"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(StillhouseError, match=f"cnn: {name} must be at least 1, got 0"):
        Cnn(**{name: 0})


def test_a_longest_filter_that_is_shorter_than_the_shortest_is_refused():
    with pytest.raises(StillhouseError, match="cnn: longest must be at least 4, got 3"):
        Cnn(shortest=4, longest=3)
    assert Cnn(shortest=4, longest=4).longest == 4
