"""A transformer that is asked: in batches as one by one, within memory, and what transformers itself would say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, XLNetConfig

from label._transformer import Signals, Texts, TorchForward, Transformer
from transferset import StillhouseError, Task

TASK = Task("text", ("text",), "label", classes=("neg", "pos"))
PAIR = Task("pair", ("a", "b"), classes=("no", "yes"))
TEXTS = [
    "good film",
    "",
    "a very dull story with no plot , and the acting is awful !",
    "fine",
    "unknownword . great",
    "it was so slow , but never dull",
    "the movie with the good story and the great acting , and this plot !",
]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def loaded(tiny_teacher):
    """Tokenizer and model as transformers loads them."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_teacher).eval()
    return AutoTokenizer.from_pretrained(tiny_teacher), model


def texts_of(tokenizer, task=TASK, max_length=32, mask_token=None, padding=0):
    return Texts.of(tokenizer, BertConfig(pad_token_id=padding), max_length, task, mask_token)


def transformer(loaded, signals=("logits",), task=TASK, batch_tokens=64, forward=None, max_length=32, **options):
    tokenizer, model = loaded
    forward = forward or TorchForward(Signals(model, signals, **options))
    return Transformer("tiny", texts_of(tokenizer, task, max_length), forward, signals, batch_tokens)


def table(*columns):
    return pa.table(dict(zip("ab", columns, strict=False)))


def assert_close(found, expected):
    """Equal to five digits of the largest, which is as much as float32 sums in another order allow."""
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def outputs_alone(loaded, *columns):
    """What transformers gives for each row alone."""
    tokenizer, model = loaded
    with torch.inference_mode():
        return [
            model(**tokenizer(*([text] for text in row), return_tensors="pt"), output_hidden_states=True)
            for row in zip(*columns, strict=True)
        ]


# Signals.


@pytest.mark.parametrize("batch_tokens", [1, 20, 64, 10_000])
def test_in_batches_the_logits_are_those_of_each_text_alone(loaded, batch_tokens):
    found = transformer(loaded, batch_tokens=batch_tokens).answer(table(TEXTS)).signals
    assert list(found) == ["logits"]
    assert_close(found["logits"], np.concatenate([each.logits for each in outputs_alone(loaded, TEXTS)]))
    assert np.ptp(found["logits"]) > 0.1


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [False, True])
def test_the_embedding_is_the_mean_of_the_last_hidden_states_or_the_first_of_them(loaded, pooling, normalize):
    asked = transformer(loaded, ("embedding",), pooling=pooling, normalize=normalize, batch_tokens=40)
    last = [each.hidden_states[-1][0].numpy() for each in outputs_alone(loaded, TEXTS)]
    expected = np.stack([states.mean(0) if pooling == "mean" else states[0] for states in last])
    if normalize:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    assert_close(asked.answer(table(TEXTS)).signals["embedding"], expected)


@pytest.mark.parametrize("layers", [(1, 2), (0,), (2, 0, 1)])
def test_hidden_is_the_first_tokens_vector_after_each_of_some_layers(loaded, layers):
    found = transformer(loaded, ("hidden",), layers=layers).answer(table(TEXTS)).signals["hidden"]
    outputs = outputs_alone(loaded, TEXTS)
    expected = [np.concatenate([each.hidden_states[layer][0, 0] for layer in layers]) for each in outputs]
    assert found.shape == (len(TEXTS), 16 * len(layers))
    assert_close(found, np.stack(expected))


def test_all_signals_come_from_one_pass_and_are_what_each_is_alone(loaded):
    names = ("logits", "embedding", "hidden")
    together = transformer(loaded, names, layers=(1, 2)).answer(table(TEXTS)).signals
    assert list(together) == list(names)
    for name in names:
        alone = transformer(loaded, (name,), layers=(1, 2)).answer(table(TEXTS)).signals
        np.testing.assert_array_equal(together[name], alone[name])


def test_pairs_are_read_with_token_types(loaded):
    firsts, seconds = TEXTS, TEXTS[2:] + TEXTS[:2]
    asked = transformer(loaded, task=PAIR, batch_tokens=100)
    expected = np.concatenate([each.logits for each in outputs_alone(loaded, firsts, seconds)])
    assert_close(asked.answer(table(firsts, seconds)).signals["logits"], expected)
    plain = Transformer(
        "tiny",
        Texts(asked.texts.tokenizer, 0, False, None, None),
        asked.forward,
        ("logits",),
        100,
    )
    assert np.abs(plain.answer(table(firsts, seconds)).signals["logits"] - expected).max() > 1e-3


# Tokens.


def test_token_types_say_which_text_a_token_is_from(loaded):
    pair = texts_of(loaded[0], PAIR).encode(table(["good film"], ["bad"]).columns)
    assert pair.types.tolist() == [0, 0, 0, 0, 1, 1]
    assert texts_of(loaded[0]).encode(table(["good film"]).columns).types is None


def test_padding_fills_each_row_up_to_the_longest_and_the_mask_says_so(loaded):
    tokens = texts_of(loaded[0], PAIR, padding=3).encode(table(["good", "the good film"], ["bad", "bad"]).columns)
    ids, mask, types = tokens.padded(np.array([1, 0]), 3)
    assert (tokens.ids[:5].tolist(), ids[0].tolist()) == (ids[1, :5].tolist(), tokens.ids[5:].tolist())
    assert ids[1, 5:].tolist() == [3, 3]
    assert mask.tolist() == [[1] * 7, [1] * 5 + [0] * 2]
    assert types.tolist() == [[0] * 5 + [1] * 2, [0] * 3 + [1] * 2 + [0] * 2]


def test_padding_comes_before_the_texts_of_a_model_that_reads_their_end(loaded):
    texts = Texts.of(loaded[0], XLNetConfig(pad_token_id=3), 32, PAIR, None)
    tokens = texts.encode(table(["good", "the good film"], ["bad", "bad"]).columns)
    ids, mask, types = tokens.padded(np.array([1, 0]), 3, texts.pad_left)
    assert ids[1].tolist() == [3, 3, *tokens.ids[:5].tolist()]
    assert ids[0].tolist() == tokens.ids[5:].tolist()
    assert mask.tolist() == [[1] * 7, [0] * 2 + [1] * 5]
    assert types.tolist() == [[0] * 5 + [1] * 2, [0] * 5 + [1] * 2]
    assert not texts_of(loaded[0]).pad_left


@pytest.mark.parametrize("max_length", [5, 8, 32])
def test_texts_that_are_too_long_are_cut_as_transformers_does_and_counted(loaded, max_length):
    tokens = texts_of(loaded[0], max_length=max_length).encode(table(TEXTS).columns)
    expected = loaded[0](TEXTS, truncation=True, max_length=max_length)["input_ids"]
    assert np.split(tokens.ids, tokens.starts[1:])[2].tolist() == expected[2]
    assert tokens.ids.tolist() == [number for row in expected for number in row]
    assert tokens.lengths.tolist() == [len(row) for row in expected]
    whole = loaded[0](TEXTS)["input_ids"]
    assert tokens.cut == sum(len(row) > max_length for row in whole)
    assert transformer(loaded, max_length=max_length).answer(table(TEXTS)).cut == tokens.cut


def test_pairs_that_are_too_long_are_cut_as_transformers_does(loaded):
    firsts, seconds = [TEXTS[2], "good", TEXTS[6]], ["bad", TEXTS[2], TEXTS[2]]
    tokens = texts_of(loaded[0], PAIR, 12).encode(table(firsts, seconds).columns)
    expected = loaded[0](firsts, seconds, truncation=True, max_length=12)
    assert tokens.ids.tolist() == [number for row in expected["input_ids"] for number in row]
    assert tokens.types.tolist() == [number for row in expected["token_type_ids"] for number in row]
    assert tokens.cut == 3


def test_a_tokenizer_that_cuts_on_the_left_does_so(loaded, tiny_teacher):
    tokenizer = AutoTokenizer.from_pretrained(tiny_teacher, truncation_side="left")
    tokens = texts_of(tokenizer, max_length=6).encode(table(TEXTS[2:3]).columns)
    assert tokens.ids.tolist() == tokenizer(TEXTS[2], truncation=True, max_length=6)["input_ids"]
    assert tokens.ids.tolist() != loaded[0](TEXTS[2], truncation=True, max_length=6)["input_ids"]


def test_the_mask_token_of_the_transfer_set_is_read_as_the_teachers_own(loaded):
    masked = table(["a <m> film <m>", "<m>", "a film"])
    begin, end = loaded[0].cls_token_id, loaded[0].sep_token_id
    a, film, own = (loaded[0].convert_tokens_to_ids(word) for word in ("a", "film", "[MASK]"))
    tokens = texts_of(loaded[0], mask_token="<m>").encode(masked.columns)
    assert tokens.ids.tolist() == [begin, a, own, film, own, end, begin, own, end, begin, a, film, end]
    # Where no words were masked, the brackets are text like any other.
    assert own not in texts_of(loaded[0]).encode(masked.columns).ids
    assert texts_of(loaded[0], mask_token="[MASK]").own_mask is None


def test_of_a_pair_both_texts_may_hold_masked_words(loaded):
    tokens = texts_of(loaded[0], PAIR, mask_token="<m>").encode(table(["a <m>"], ["<m> film"]).columns)
    assert (tokens.ids == loaded[0].mask_token_id).sum() == 2


def test_the_tokenizer_that_is_given_stays_as_it_was(loaded):
    before = loaded[0].backend_tokenizer.to_str()
    texts_of(loaded[0], max_length=6).encode(table(TEXTS).columns)
    assert loaded[0].backend_tokenizer.to_str() == before


# Batches and memory.


class Forward:
    """Sums each row's ids; runs out of memory above some tokens, and remembers the shapes it got."""

    def __init__(self, most=None, error=None):
        self.most, self.error, self.shapes, self.refused = most, error, [], []

    def __call__(self, ids, mask, types):
        if self.most is not None and ids.size > self.most:
            self.refused.append(ids.shape)
            raise self.error
        self.shapes.append(ids.shape)
        return [(ids * mask).sum(1, keepdims=True).astype(np.float32)]


def sums_of(loaded):
    return np.array([[sum(row)] for row in loaded[0](TEXTS)["input_ids"]], np.float32)


def test_batches_keep_the_budget_of_tokens_and_come_longest_first(loaded):
    forward = Forward()
    found = transformer(loaded, forward=forward, batch_tokens=30).answer(table(TEXTS)).signals["logits"]
    np.testing.assert_array_equal(found, sums_of(loaded))
    assert len(forward.shapes) > 2
    assert all(rows * length <= 30 or rows == 1 for rows, length in forward.shapes)
    assert [length for _, length in forward.shapes] == sorted((length for _, length in forward.shapes), reverse=True)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory: you tried to"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : bad allocation"),
        MemoryError(),
    ],
)
def test_where_memory_does_not_suffice_batches_are_halved_and_stay_smaller(loaded, error):
    forward = Forward(most=40, error=error)
    asked = transformer(loaded, forward=forward, batch_tokens=120)
    np.testing.assert_array_equal(asked.answer(table(TEXTS)).signals["logits"], sums_of(loaded))
    assert forward.refused
    assert 1 <= asked.batch_tokens < 120
    refused = len(forward.refused)
    np.testing.assert_array_equal(asked.answer(table(TEXTS)).signals["logits"], sums_of(loaded))
    np.testing.assert_array_equal(asked.answer(table(TEXTS)).signals["logits"], sums_of(loaded))
    # Once it is known what fits, nothing is tried in vain.
    assert len(forward.refused) <= refused + 1


def test_a_text_that_does_not_fit_alone_is_one_line(loaded):
    forward = Forward(most=6, error=RuntimeError("DefaultCPUAllocator: not enough memory"))
    with pytest.raises(
        StillhouseError, match=r"tiny: must fit in memory with a text of 17 tokens, .*--max-length"
    ) as e:
        transformer(loaded, forward=forward).answer(table(TEXTS))
    assert "\n" not in str(e.value)


def test_other_errors_of_a_model_are_not_taken_for_a_lack_of_memory(loaded):
    forward = Forward(most=0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        transformer(loaded, forward=forward, batch_tokens=1000).answer(table(TEXTS))
    assert len(forward.refused) == 1


# Threads.


def test_the_bits_are_the_same_in_any_thread(loaded):
    asked = transformer(loaded, ("logits", "embedding"), batch_tokens=40)
    exact = asked.answer(table(TEXTS)).signals
    with ThreadPoolExecutor(4) as executor:
        for found in executor.map(asked.answer, [table(TEXTS)] * 12):
            for name in exact:
                np.testing.assert_array_equal(found.signals[name], exact[name])


def test_bits_do_not_depend_on_the_number_of_threads_torch_has(loaded):
    asked, found = transformer(loaded), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(asked.answer(table(TEXTS)).signals["logits"])
    torch.set_num_threads(1)
    np.testing.assert_array_equal(*found)


def test_torch_has_as_many_threads_as_before(loaded):
    """Torch tells a thread that starts later what another thread has set for itself."""
    tokenizer, model = loaded
    seen: list[int] = []
    hook = model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(3)
    try:
        forward = TorchForward(Signals(model, ("logits",)))
        asked = Transformer("tiny", texts_of(tokenizer, TASK, 32), forward, ("logits",), 20, threads=2)
        asked.answer(table(TEXTS))
        assert len(seen) > 2
        assert set(seen) == {1}
        assert torch.get_num_threads() == 3
        # And in a thread that starts now, such as that of a later training.
        with ThreadPoolExecutor(1) as executor:
            assert executor.submit(torch.get_num_threads).result() == 3
    finally:
        hook.remove()
        torch.set_num_threads(1)


def test_gradients_are_not_kept_and_the_model_is_in_eval_mode(tiny_teacher):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_teacher).train()
    forward = TorchForward(Signals(model, ("logits",)))
    assert not model.training
    found = []
    model.register_forward_hook(lambda module, given, output: found.append(output.logits))
    forward(np.array([[2, 5, 3]]), np.ones((1, 3), np.int64), None)
    assert not found[0].requires_grad
