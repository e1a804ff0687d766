"""The BiLSTM: padding and company change nothing, and a step touches only the vectors of its words."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from students._words import SPECIAL, Vocabulary
from students.bilstm import Bilstm, _states
from transferset import StillhouseError, Task

WORDS = 20
VOCABULARY = Vocabulary(tuple(f"w{n}" for n in range(WORDS - len(SPECIAL))))
TASK = Task("text", ("text",), classes=("no", "yes"))
SMALL = Bilstm(width=8, hidden=8, vector_width=8, dropout=0.5)


@pytest.fixture(scope="module")
def model():
    return build(SMALL)


def build(size, outputs=2, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return size.build(VOCABULARY, TASK, outputs).eval()


def padded(texts, extra=0):
    """Texts, lists of word numbers, as ids (B, T) and lengths (B,), with some columns more than needed."""
    ids = torch.zeros(len(texts), max(1, *(len(text) for text in texts)) + extra, dtype=torch.int64)
    for place, text in enumerate(texts):
        ids[place, : len(text)] = torch.tensor(text)
    return ids, torch.tensor([max(1, len(text)) for text in texts])


def logits_of(model, texts, extra=0):
    with torch.inference_mode():
        return model(*padded(texts, extra)).numpy()


texts = st.lists(st.lists(st.integers(1, WORDS - 1), max_size=9), min_size=2, max_size=8)


@settings(deadline=None, max_examples=40)
@given(texts, st.integers(0, 5), st.integers(0, 2**32))
def test_a_text_has_the_same_logits_alone_and_in_any_batch_at_any_place(model, texts, extra, seed):
    alone = np.concatenate([logits_of(model, [text, text])[:1] for text in texts])
    order = np.random.default_rng(seed).permutation(len(texts))
    together = logits_of(model, [texts[place] for place in order], extra)
    np.testing.assert_allclose(together, alone[order], atol=1e-6)


def test_texts_of_one_word_differ_by_their_word(model):
    one, other = logits_of(model, [[5], [6]])
    assert np.abs(one - other).max() > 1e-4


def test_the_order_of_words_matters(model):
    one, other = logits_of(model, [[5, 6, 7], [7, 6, 5]])
    assert np.abs(one - other).max() > 1e-5


def test_each_word_of_a_text_has_a_part_in_its_logits(model):
    base = logits_of(model, [[5, 6, 7, 8], [5, 6, 7, 8]])[0]
    for place in range(4):
        changed = [5, 6, 7, 8]
        changed[place] = 9
        assert np.abs(logits_of(model, [changed, changed])[0] - base).max() > 1e-6


def test_a_text_without_words_has_finite_logits(model):
    assert np.isfinite(logits_of(model, [[], [5, 6]])).all()


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_there_is_a_logit_for_each_output(outputs):
    assert logits_of(build(SMALL, outputs), [[3], [4, 5]]).shape == (2, outputs)


def test_dropout_acts_in_training_only(model):
    batch = padded([[5, 6, 7], [8]])
    assert torch.equal(model(*batch), model(*batch))
    trained = build(SMALL).train()
    with torch.random.fork_rng(devices=[]):
        assert not torch.equal(trained(*batch), trained(*batch))


def test_a_step_touches_only_the_vectors_of_its_words():
    model = build(SMALL)
    batch = [[5, 6, 7], [8], [6]]
    model(*padded(batch)).square().sum().backward()
    gradient = model.vectors.weight.grad
    assert torch.nonzero(gradient.abs().amax(1)).flatten().tolist() == [5, 6, 7, 8]


def test_every_weight_has_a_gradient():
    model = build(SMALL)
    model(*padded([[5, 6, 7], [8]])).square().sum().backward()
    assert not [name for name, each in model.named_parameters() if each.grad is None]


def test_building_draws_from_the_generator_it_is_told_to():
    one, same, other = build(SMALL, seed=1), build(SMALL, seed=1), build(SMALL, seed=2)
    assert torch.equal(one.output.weight, same.output.weight)
    assert not torch.equal(one.output.weight, other.output.weight)


@pytest.mark.parametrize("name", ["width", "hidden", "vector_width"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(StillhouseError, match=f"bilstm: {name} must be at least 1, got 0"):
        Bilstm(**{name: 0})


@pytest.mark.parametrize("dropout", [-0.1, 1.1, float("nan")])
def test_a_dropout_that_is_no_share_is_refused(dropout):
    with pytest.raises(StillhouseError, match="bilstm: dropout must be between 0 and 1"):
        Bilstm(dropout=dropout)


def test_the_recurrent_layers_compute_in_bfloat16_where_that_is_asked_for_and_what_is_above_does_not(model):
    batch, wanted = padded([[5, 6, 7], [8]]), logits_of(model, [[5, 6, 7], [8]])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        states = _states(model.encoder.forwards, model.vectors(batch[0]))
        found = model(*batch)
    assert (states.dtype, found.dtype) == (torch.bfloat16, torch.float32)
    assert not np.array_equal(found.numpy(), wanted)
    np.testing.assert_allclose(found.numpy(), wanted, atol=0.01)
