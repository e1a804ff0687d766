"""Masking: each word with the asked probability, and only the word."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, preview

from augment import Mask
from transferset import Source, StillhouseError


@pytest.fixture(scope="module")
def corpus(shared):
    batches = Source(shared / "data" / "sst2" / "train.tsv").batches(["sentence"])
    return corpus_of(pa.concat_arrays([batch.column(0) for batch in batches]), ("[MASK]",))


def drafted(corpus, *steps, copies=2, seed=0):
    draft = draft_of(corpus.block(0), copies, seed)
    for step in steps:
        step.fit(corpus)(draft)
    return draft


def standard_error(rate, count):
    return np.sqrt(rate * (1 - rate) / count)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.4, 0.9])
def test_the_mask_rate_on_sst2_is_the_one_asked_for(corpus, rate):
    draft = drafted(corpus, Mask(rate=rate))
    share = len(draft.edits[0].places) / len(draft.word)
    assert abs(share - rate) < 3 * standard_error(rate, len(draft.word))


def test_the_mask_rate_is_the_same_at_every_position_and_in_every_copy(corpus):
    draft = drafted(corpus, Mask(), copies=4)
    masked = np.zeros(len(draft.word), np.bool_)
    masked[draft.edits[0].places] = True
    groups = [draft.position == position for position in range(10)]
    groups += [draft.copy[draft.row] == copy for copy in range(1, 5)]
    for group in groups:
        # Fourteen figures are looked at, so the bound is wider than for one.
        assert abs(masked[group].mean() - 0.1) < 4 * standard_error(0.1, group.sum())


def test_a_word_is_masked_no_matter_what_its_neighbour_does(corpus):
    draft = drafted(corpus, Mask(rate=0.5))
    masked = np.zeros(len(draft.word), np.bool_)
    masked[draft.edits[0].places] = True
    neighbours = draft.row[1:] == draft.row[:-1]
    both = (masked[1:] & masked[:-1])[neighbours].mean()
    assert abs(both - 0.25) < 4 * standard_error(0.25, neighbours.sum())


def test_two_masks_in_a_recipe_do_not_hit_the_same_word(corpus):
    draft = drafted(corpus, Mask(rate=0.2), Mask(rate=0.3))
    first, second = (each.places for each in draft.edits)
    assert not len(np.intersect1d(first, second))
    share = (len(first) + len(second)) / len(draft.word)
    assert abs(share - 0.5) < 3 * standard_error(0.5, len(draft.word))


def test_all_words_are_masked_at_rate_1_and_none_at_0():
    assert preview(["a fine film ."], [Mask(rate=1.0)]) == ["[MASK] [MASK] [MASK] [MASK]"]
    assert preview(["a fine film ."], [Mask(rate=0.0)]) == ["a fine film ."]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("", ""),
        ("   ", "   "),
        ("  two  words ", "  #  # "),
        ("tab\tand\nline", "#\t#\n#"),
        ("don't", "##"),
        ("wow!!!", "##"),
        ("它很好", "###"),
        ("שלום עולם", "# #"),
        ("👨‍👩‍👧 ok", "# #"),
        ("e\N{COMBINING ACUTE ACCENT}te\N{COMBINING ACUTE ACCENT}", "#"),
        ("already # here", "# # #"),
    ],
)
def test_only_words_are_masked_and_all_between_them_stays(text, masked):
    assert preview([text], [Mask(rate=1.0, token="[#]")]) == [masked.replace("#", "[#]")]


def test_a_mask_token_in_the_text_is_one_word():
    corpus = corpus_of(pa.array(["a [MASK] film"]), ("[MASK]",))
    assert drafted(corpus, Mask(rate=1.0), copies=1).edits[0].places.tolist() == [0, 1, 2]


@pytest.mark.parametrize("rate", [-0.1, 1.01, float("nan"), float("inf")])
def test_a_rate_must_be_a_share(rate):
    with pytest.raises(StillhouseError, match=r"^mask: rate must be between 0 and 1, got"):
        Mask(rate=rate)


@pytest.mark.parametrize("token", ["", " ", "two words", " [MASK]", "[MASK]\n"])
def test_a_token_must_be_one_word(token):
    with pytest.raises(StillhouseError, match=r"^mask: token must be a word in brackets"):
        Mask(token=token)
