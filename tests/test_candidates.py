"""What models offer: kept by content, found again, and drawn from with equal chances."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from augment._candidates import Candidates, carry_case, draw, has_offers, mark_of
from augment._draws import position_draws, row_draws
from augment.mlm import _word_keys, askable
from transferset import StillhouseError, Store

ABOUT = {"model": "m", "k": 3}
LISTS = pa.list_(pa.string())


def keys_of(numbers):
    """Keys whose order is not that of the numbers."""
    numbers = np.asarray(list(numbers), np.uint64)
    return np.stack([numbers * np.uint64(0x9E3779B97F4A7C15), numbers], 1)


def lists_of(numbers):
    """What number n has to offer: n % 4 words, so that some have nothing."""
    return pa.array([[f"{n}-{word}" for word in range(n % 4)] for n in numbers], LISTS)


@pytest.fixture(params=["memory", "folder"])
def folder(request, tmp_path):
    return None if request.param == "memory" else tmp_path


def test_what_was_added_is_found_and_the_rest_is_missing(folder):
    candidates = Candidates(folder, "mlm", ABOUT)
    assert candidates.missing(keys_of(range(9))).all()
    candidates.add(keys_of([5, 1, 7]), lists_of([5, 1, 7]))
    assert candidates.missing(keys_of(range(9))).tolist() == [n not in (1, 5, 7) for n in range(9)]
    found = candidates.look_up(keys_of([1, 2, 7, 5, 1, 8]))
    assert found.to_pylist() == [["1-0"], None, ["7-0", "7-1", "7-2"], ["5-0"], ["1-0"], None]
    assert found.type == LISTS


def test_an_empty_list_is_there_and_is_not_a_missing_one(folder):
    candidates = Candidates(folder, "mlm", ABOUT)
    candidates.add(keys_of([4, 8]), lists_of([4, 8]))
    assert not candidates.missing(keys_of([4, 8])).any()
    assert candidates.look_up(keys_of([8, 9, 4])).to_pylist() == [[], None, []]


def test_nothing_asked_and_nothing_added_is_nothing(folder):
    candidates = Candidates(folder, "mlm", ABOUT)
    nothing = keys_of([])
    assert candidates.missing(nothing).tolist() == []
    assert candidates.look_up(nothing).to_pylist() == []
    assert candidates.look_up(keys_of([3])).to_pylist() == [None]
    candidates.add(nothing, lists_of([]))
    assert candidates.look_up(keys_of([3])).to_pylist() == [None]


@pytest.mark.parametrize("parts", [1, 15, 16, 17, 40])
def test_many_additions_are_found_as_one(folder, parts):
    candidates = Candidates(folder, "mlm", ABOUT)
    numbers = np.random.default_rng(parts).permutation(parts * 7)
    for some in np.split(numbers, parts):
        assert candidates.missing(keys_of(some)).all()
        candidates.add(keys_of(some), lists_of(some.tolist()))
    asked = np.random.default_rng(0).integers(0, parts * 8, 300)
    expected = [lists_of([n]).to_pylist()[0] if n < parts * 7 else None for n in asked.tolist()]
    assert candidates.look_up(keys_of(asked)).to_pylist() == expected
    assert candidates.missing(keys_of(asked)).tolist() == [each is None for each in expected]


@given(st.lists(st.lists(st.integers(0, 40), unique=True, max_size=12), max_size=25), st.lists(st.integers(0, 45)))
@settings(deadline=None, max_examples=60)
def test_candidates_are_a_dictionary(additions, asked):
    candidates, known = Candidates(None, "mlm", ABOUT), {}
    for some in additions:
        new = [n for n in some if n not in known]
        candidates.add(keys_of(new), lists_of(new))
        known |= dict(zip(new, lists_of(new).to_pylist(), strict=True))
    assert candidates.look_up(keys_of(asked)).to_pylist() == [known.get(n) for n in asked]


def test_keys_that_share_a_half_are_different_keys(folder):
    candidates = Candidates(folder, "mlm", ABOUT)
    keys = np.array([[7, 1], [7, 2], [8, 1], [7, 0]], np.uint64)
    candidates.add(keys[:2], pa.array([["a"], ["b"]], LISTS))
    assert candidates.look_up(keys[::-1]).to_pylist() == [None, None, ["b"], ["a"]]


# On disk.


def test_what_was_added_is_there_after_a_restart_and_nobody_wrote_more(tmp_path):
    first = Candidates(tmp_path, "mlm", ABOUT)
    for start in (0, 10, 20):
        first.add(keys_of(range(start, start + 10)), lists_of(range(start, start + 10)))
    files = sorted(tmp_path.rglob("*"))
    again = Candidates(tmp_path, "mlm", ABOUT)
    assert again.look_up(keys_of(range(31))).to_pylist() == [*lists_of(range(30)).to_pylist(), None]
    assert sorted(tmp_path.rglob("*")) == files
    again.add(keys_of([30]), lists_of([30]))
    assert not Candidates(tmp_path, "mlm", ABOUT).missing(keys_of(range(31))).any()


@pytest.mark.parametrize(
    ("name", "about"), [("mlm", {**ABOUT, "k": 4}), ("mlm", {**ABOUT, "model": "n"}), ("vectors", ABOUT)]
)
def test_what_depends_on_something_else_is_kept_apart(tmp_path, name, about):
    Candidates(tmp_path, "mlm", ABOUT).add(keys_of([1]), lists_of([1]))
    other = Candidates(tmp_path, name, about)
    assert other.missing(keys_of([1])).all()
    assert len(list(tmp_path.iterdir())) == 2
    assert not Candidates(tmp_path, "mlm", ABOUT).missing(keys_of([1])).any()


def test_the_store_says_what_its_lists_depend_on_and_is_whole(tmp_path):
    Candidates(tmp_path, "mlm", ABOUT).add(keys_of([1, 2]), lists_of([1, 2]))
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"mlm-{mark_of(ABOUT)}"
    store = Store.open(folder)
    assert store.about == ABOUT
    assert store.verify() == []
    assert store.rows() == 2


def test_two_writers_at_once_lose_nothing(tmp_path):
    writers = [Candidates(tmp_path, "mlm", ABOUT) for _ in range(3)]
    for turn in range(6):
        numbers = range(turn * 5, turn * 5 + 5)
        writers[turn % 3].add(keys_of(numbers), lists_of(numbers))
        # Each knows its own at once, and of the others what was there when it opened.
        assert writers[turn % 3].look_up(keys_of(numbers)).to_pylist() == lists_of(numbers).to_pylist()
    assert Candidates(tmp_path, "mlm", ABOUT).look_up(keys_of(range(30))).to_pylist() == lists_of(range(30)).to_pylist()


def test_the_same_lists_from_two_writers_are_the_same_lists(tmp_path):
    first, second = (Candidates(tmp_path, "mlm", ABOUT) for _ in range(2))
    for writer in (first, second):
        writer.add(keys_of([1, 2, 3]), lists_of([1, 2, 3]))
    assert Candidates(tmp_path, "mlm", ABOUT).look_up(keys_of([3, 1])).to_pylist() == lists_of([3, 1]).to_pylist()


def test_a_writer_that_dies_between_two_parts_loses_only_the_last(tmp_path, monkeypatch):
    candidates = Candidates(tmp_path, "mlm", ABOUT)
    candidates.add(keys_of([1]), lists_of([1]))
    monkeypatch.setattr("transferset.store._link_json", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        candidates.add(keys_of([2]), lists_of([2]))
    monkeypatch.undo()
    again = Candidates(tmp_path, "mlm", ABOUT)
    assert again.missing(keys_of([1, 2])).tolist() == [False, True]
    again.add(keys_of([2]), lists_of([2]))
    assert Candidates(tmp_path, "mlm", ABOUT).look_up(keys_of([1, 2])).to_pylist() == lists_of([1, 2]).to_pylist()


def test_a_damaged_part_is_named(tmp_path):
    candidates = Candidates(tmp_path, "mlm", ABOUT)
    candidates.add(keys_of([1]), lists_of([1]))
    (part,) = tmp_path.glob("*/part-*")
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(StillhouseError, match=part.name):
        Candidates(tmp_path, "mlm", ABOUT)


def test_a_mark_is_short_and_is_that_of_the_content():
    assert mark_of({"a": 1, "b": 2}) == mark_of({"b": 2, "a": 1})
    assert len({mark_of({"a": a, "b": b}) for a in range(5) for b in "xyz"}) == 15
    assert mark_of(ABOUT).isalnum()


# The keys of words.


def test_each_word_of_each_text_has_a_key_of_its_own_in_either_half():
    texts = ["a good film and a good plot", "a good film", "好 a good film", " ".join(["good"] * 3000), ""]
    block = corpus_of(texts).block(0)
    asked = np.flatnonzero(askable(block))
    keys = _word_keys(block, asked)
    assert len(np.unique(keys, axis=0)) == len(asked)
    # Keys are found by their first half: were it that of the text alone, a text of n words would take n * n steps.
    assert len(np.unique(keys[:, 0])) == len(asked)


def test_a_word_has_the_same_key_wherever_its_text_stands():
    def keys(texts, number):
        block = corpus_of(texts).block(0)
        asked = np.arange(block.words.first[number], block.words.first[number + 1])
        return _word_keys(block, asked).tolist()

    assert keys(["other words", "", "a good film"], 2) == keys(["a good film", "x"], 0)
    assert keys(["a good film"], 0) != keys(["a good film "], 0)


# Drawing.


def draws_of(count):
    of_row = row_draws(0, "test", np.arange(count), np.ones(count, np.int32))
    return position_draws(of_row, np.zeros(count, np.int32))


def test_all_of_a_list_are_equally_likely():
    offers = pa.array([["x"], list("abcde"), None, [], [f"{n}" for n in range(15)]], LISTS)
    for row, words in ((1, "abcde"), (4, [str(n) for n in range(15)])):
        drawn = draw(offers, np.full(30_000, row), draws_of(30_000)).to_pylist()
        # One fixed seed: a p-value this low is a fault, not chance.
        assert chisquare([drawn.count(word) for word in words]).pvalue > 1e-3
        assert set(drawn) == set(words)
    assert set(draw(offers, np.zeros(50, np.int64), draws_of(50)).to_pylist()) == {"x"}


def test_a_draw_is_from_the_list_of_its_row():
    offers = pa.array([["a"], None, ["b"], [], ["c"]], LISTS)
    assert draw(offers, np.array([4, 0, 2, 2, 0]), draws_of(5)).to_pylist() == ["c", "a", "b", "b", "a"]
    assert draw(offers, np.zeros(0, np.int64), draws_of(0)).to_pylist() == []


def test_a_slice_of_lists_is_drawn_from_like_any_other():
    offers = pa.array([["before"], ["a"], None, ["b"], ["after"]], LISTS)[1:4]
    assert draw(offers, np.array([2, 0]), draws_of(2)).to_pylist() == ["b", "a"]
    assert has_offers(offers).tolist() == [True, False, True]


def test_lists_without_anything_offer_nothing():
    assert has_offers(pa.array([["a", "b"], [], None, ["c"]], LISTS)).tolist() == [True, False, False, True]
    assert has_offers(pa.array([], LISTS)).tolist() == []
    assert has_offers(pa.nulls(2, LISTS)).tolist() == [False, False]


# Case.


@pytest.mark.parametrize(
    ("old", "new", "carried"),
    [
        ("film", "movie", "movie"),
        ("Film", "movie", "Movie"),
        ("FILM", "movie", "MOVIE"),
        ("film", "Rome", "Rome"),
        ("film", "USA", "USA"),
        ("I", "we", "We"),
        ("A", "the", "The"),
        ("É", "the", "The"),
        ("Été", "hiver", "Hiver"),
        ("ÉTÉ", "hiver", "HIVER"),
        ("films", "été", "été"),
        ("Films", "été", "Été"),
        ("McDonald", "film", "Film"),
        ("iPhone", "film", "film"),
        ("3D", "film", "FILM"),
        ("X2", "film", "FILM"),
        ("2nd", "film", "film"),
        ("42", "film", "film"),
        ("שלום", "film", "film"),
        ("很", "film", "film"),
        ("Film", "שלום", "שלום"),
        ("FILM", "straße", "STRAẞE"),
        ("film", "", ""),
        ("Film", "", ""),
    ],
)
def test_the_case_of_the_old_word_is_carried_over(old, new, carried):
    assert carry_case(pa.array([old], pa.large_string()), pa.array([new])).to_pylist() == [carried]


def test_case_is_carried_over_word_by_word():
    old, new = pa.array(["FILM", "Film", "film"]), pa.array(["one", "two", "three"])
    assert carry_case(old, new).to_pylist() == ["ONE", "Two", "three"]
    assert carry_case(old[:0], new[:0]).to_pylist() == []
    assert carry_case(old[1:], new[1:]).to_pylist() == ["Two", "three"]
