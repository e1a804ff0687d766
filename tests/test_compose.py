"""Augmenters made of augmenters: the shares of the branches, rows that meet one of them, claims that stay in it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, preview, rendered
from hypothesis import given, settings
from hypothesis import strategies as st
from test_augmenters import TEXTS, by_length, replay

from augment import InSequence, Mask, Ngram, OneOf, Pos, Recipe, Similar, augment
from augment._features import FeatureDraft
from augment._rows import all_copies
from transferset import StillhouseError

ROWS = 12_000


@dataclass(frozen=True)
class Mark:
    """Leaves its name on each text that it is let near."""

    name: str

    def fit(self, corpus):
        return self._edit

    def _edit(self, draft):
        rows = np.flatnonzero(draft.active)
        draft.replace(self.name, draft.first[rows], pa.array([self.name] * len(rows), pa.string()))


@dataclass(frozen=True)
class MarkFeature:
    """Puts its number in a column of each row of features."""

    edits: ClassVar[str] = "features"

    number: int
    column: int = 0

    def fit(self, corpus):
        return self._edit

    def _edit(self, draft):
        rows = np.arange(len(draft.row))
        draft.set(f"mark-{self.number}", self.column, rows, pa.array(np.full(len(rows), self.number)))


def marked(steps, rows=ROWS, copies=1, seed=0):
    """Which rows each mark was left on, in the order of the steps."""
    corpus = corpus_of(["word"] * rows)
    draft = draft_of(corpus.block(0), copies, seed)
    for step in steps:
        step.fit(corpus)(draft)
    return [draft.row[each.places] for each in draft.edits]


def close(hits, count, rate):
    """Whether the share is within three standard errors."""
    return abs(hits / count - rate) <= 3 * np.sqrt(rate * (1 - rate) / count)


def assert_shares(found, shares, rows=ROWS):
    assert len(found) == len(shares)
    for each, share in zip(found, shares, strict=True):
        assert close(len(each), rows, share), (len(each), share)


A, B, C = Mark("a"), Mark("b"), Mark("c")


@pytest.mark.parametrize(
    ("step", "shares"),
    [
        (OneOf((A, B, C)), [1 / 3] * 3),
        (OneOf((A, B, C), (1.0, 2.0, 5.0)), [1 / 8, 2 / 8, 5 / 8]),
        (OneOf((A, B), (1e-3, 3e-3)), [0.25, 0.75]),
        (OneOf((A, B), (2.0, 1.0), 0.3), [0.2, 0.1]),
        (OneOf((A, B), probability=0.5), [0.25, 0.25]),
        (OneOf((A,), probability=0.4), [0.4]),
        (OneOf((A,), (7.0,)), [1.0]),
        (InSequence((A,), 0.2), [0.2]),
        (InSequence((A, B), 0.7), [0.7, 0.7]),
        (InSequence((A, B)), [1.0, 1.0]),
        (OneOf((A, B), probability=0.0), [0.0, 0.0]),
        (InSequence((A,), 0.0), [0.0]),
        (OneOf((A, InSequence((B,), 0.25))), [0.5, 0.125]),
        (OneOf((A, OneOf((B, C), (1.0, 3.0))), (1.0, 3.0)), [0.25, 0.1875, 0.5625]),
        (OneOf((OneOf((A, B), probability=0.5), C)), [0.125, 0.125, 0.5]),
        (InSequence((InSequence((A,), 0.5), B), 0.5), [0.25, 0.5]),
    ],
)
def test_steps_have_the_share_of_the_rows_that_weights_and_probabilities_say(step, shares):
    assert_shares(marked([step]), shares)


def test_branches_are_of_different_rows_and_together_of_all():
    found = marked([OneOf((A, OneOf((B, C))), (1.0, 2.0))])
    assert sorted(np.concatenate(found).tolist()) == list(range(ROWS))


def test_steps_in_sequence_are_of_the_same_rows():
    first, second, inner = marked([InSequence((A, B, InSequence((C,), 0.5)), 0.5)])
    assert (first == second).all()
    assert np.isin(inner, first).all()
    assert close(len(inner), len(first), 0.5)


def test_two_groups_choose_independently():
    (a, b), (c, d) = (pair for pair in np.array_split(np.array(marked([OneOf((A, B)), OneOf((A, B))]), object), 2))
    for one in (a, b):
        for other in (c, d):
            assert close(len(np.intersect1d(one, other)), ROWS, 0.25)


def test_an_inner_choice_does_not_depend_on_the_outer_one():
    # Were both made by one draw, rows of the outer group's first branch would all be in the inner one's.
    a, b, c = marked([OneOf((OneOf((A, B)), C))])
    assert close(len(a), len(a) + len(b), 0.5)
    assert len(c)


def test_each_copy_of_a_row_chooses_anew():
    a, _ = marked([OneOf((A, B))], rows=4000, copies=3)
    in_a = np.zeros(12_000, np.bool_)
    in_a[a] = True
    for copies in (in_a.reshape(-1, 3)[:, :2], in_a.reshape(-1, 3)[:, 1:]):
        assert close((copies[:, 0] == copies[:, 1]).sum(), 4000, 0.5)


def test_another_seed_chooses_otherwise_and_the_same_one_the_same():
    once, again, other = (marked([OneOf((A, B))], 500, seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert once == again
    assert once != other


@pytest.mark.parametrize("group", [OneOf((Mask(0.3),)), InSequence((Mask(0.3),)), OneOf((InSequence((Mask(0.3),)),))])
def test_a_group_that_is_no_choice_is_its_step(group):
    assert preview(TEXTS, [group, Ngram()], copies=9) == preview(TEXTS, [Mask(0.3), Ngram()], copies=9)


def test_steps_in_sequence_are_the_steps_of_a_recipe():
    steps = (Mask(0.2), Pos(0.3, by_length), Ngram())
    assert preview(TEXTS, [InSequence(steps)], copies=9) == preview(TEXTS, list(steps), copies=9)


# Claims of words.

LONG = [" ".join(["word"] * 40)] * 800


def drafted(steps, texts=LONG, copies=1, seed=0):
    corpus = corpus_of(texts, ("[MASK]",))
    draft = draft_of(corpus.block(0), copies, seed)
    for step in steps:
        step.fit(corpus)(draft)
    return draft


def test_branches_have_all_words_to_claim_each():
    draft = drafted([OneOf((Mask(rate=0.9), Pos(rate=0.8, tagger=by_length)))])
    mask, pos = draft.edits
    rows = [np.unique(draft.row[each.places]) for each in (mask, pos)]
    assert not len(np.intersect1d(*rows))
    assert sum(map(len, rows)) == len(LONG)
    for edits, its_rows, rate in zip((mask, pos), rows, (0.9, 0.8), strict=True):
        assert close(len(edits.places), 40 * len(its_rows), rate)


def test_what_a_branch_claimed_is_not_claimed_for_the_next():
    # Both branches claim the same interval of each word's draw, so the third of the rows left alone has none claimed.
    alone = drafted([Mask(rate=0.5)]).edits[0].places
    masked, again = (each.places for each in drafted([OneOf((Mask(rate=0.5), Mask(rate=0.5)))]).edits)
    assert sorted([*masked.tolist(), *again.tolist()]) == alone.tolist()


def test_a_rule_after_a_group_has_what_the_greediest_branch_left():
    group = OneOf((Mask(rate=0.6), Mask(rate=0.1)))
    draft = drafted([group, Pos(rate=0.4, tagger=by_length)])
    most, few, pos = (each.places for each in draft.edits)
    assert not len(np.intersect1d(pos, np.concatenate([most, few])))
    assert close(len(pos), len(draft.word), 0.4)
    with pytest.raises(StillhouseError, match=r"rates of word rules must add up to at most 1, got 1.1$"):
        drafted([group, Pos(rate=0.5, tagger=by_length)])


def test_rules_in_one_branch_are_exclusive_and_must_add_up():
    draft = drafted([OneOf((InSequence((Mask(rate=0.5), Pos(rate=0.5, tagger=by_length))), Ngram()))])
    mask, pos = draft.edits
    assert not len(np.intersect1d(mask.places, pos.places))
    rows = np.unique(draft.row[mask.places])
    assert len(mask.places) + len(pos.places) == 40 * len(rows)
    assert not np.isin(draft.windows[0].rows, rows).any()
    with pytest.raises(StillhouseError, match=r"must add up to at most 1, got 1.2"):
        drafted([OneOf((InSequence((Mask(rate=0.6), Pos(rate=0.6, tagger=by_length))), Ngram()))])


def test_rules_before_a_group_are_exclusive_of_those_in_it():
    draft = drafted([Mask(rate=0.3), OneOf((Pos(rate=0.7, tagger=by_length), Pos(rate=0.2, tagger=by_length)))])
    mask, most, few = (each.places for each in draft.edits)
    assert not len(np.intersect1d(mask, np.concatenate([most, few])))
    assert len(np.unique(draft.row[np.concatenate([mask, most])])) == len(LONG)


def test_the_ngrams_and_gates_of_a_branch_are_of_its_rows_alone():
    draft = drafted([OneOf((InSequence((Ngram(rate=1.0, longest=2), Similar(words=3))), Mask(rate=1.0)))])
    cut = draft.windows[0].rows
    masked = np.unique(draft.row[draft.edits[0].places])
    assert sorted([*cut.tolist(), *masked.tolist()]) == list(range(len(LONG)))
    # All that were cut have two words at most; those that lost every word to the mask were not asked.
    assert np.flatnonzero(draft.dropped).tolist() == cut.tolist()


@dataclass(frozen=True)
class Offering:
    """Has something to offer for each word, or is for the words for which nobody had."""

    rest: bool = False
    rate: float = 0.5

    def fit(self, corpus):
        return self._edit

    def _edit(self, draft):
        places = draft.claim(self.rate)
        if self.rest:
            places = places[~draft.offered[places]]
        draft.offer(np.ones(len(draft.block.words.start), np.bool_))
        draft.replace("rest" if self.rest else "all", places, pa.array(["x"] * len(places), pa.string()))


def test_offers_of_steps_before_are_known_to_those_after():
    every, rest = (each.places for each in drafted([Offering(), Offering(rest=True)]).edits)
    assert len(every)
    assert not len(rest)


def test_offers_in_one_branch_are_nothing_to_another():
    draft = drafted([OneOf((Offering(), Offering(rest=True)))])
    rows = [np.unique(draft.row[each.places]) for each in draft.edits]
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(LONG)))


def test_offers_are_of_the_texts_of_the_branch_alone():
    draft = drafted([OneOf((Offering(), InSequence((Mask(rate=0.0),))), (1.0, 3.0)), Offering(rest=True)])
    every, _, rest = (draft.row[each.places] for each in draft.edits)
    assert close(len(np.unique(every)), len(LONG), 0.25)
    assert sorted([*np.unique(every).tolist(), *np.unique(rest).tolist()]) == list(range(len(LONG)))
    assert draft.offered.all()


def test_only_the_words_that_were_offered_something_count():
    draft = draft_of(corpus_of(["a b", "c", "", "d e f"]).block(0), 2, 0)
    assert draft.offered.tolist() == [False] * len(draft.word)
    draft.offer(np.array([True, False, False, True, False, False]))
    wanted = [True, False] * 2 + [False] * 2 + [True, False, False] * 2
    assert draft.offered.tolist() == wanted
    draft.offer(np.array([False, False, True, False, False, False]))
    assert draft.offered.tolist() == wanted[:4] + [True] * 2 + wanted[6:]


# Texts, whatever the groups.


def word_leaves(most_rate):
    rates = st.floats(0, most_rate)
    return st.one_of(
        st.builds(Mask, rate=rates),
        st.builds(Pos, rate=rates, tagger=st.just(by_length)),
        st.builds(Ngram, rate=st.floats(0, 1), shortest=st.integers(1, 3), longest=st.integers(3, 6)),
        st.builds(Similar, words=st.integers(0, 2)),
    )


def grown(leaves):
    """Steps of any of the kinds of ``leaves``, at most five in all."""
    return st.recursive(leaves, groups_of, max_leaves=5)


def groups_of(steps):
    inner = st.lists(steps, min_size=1, max_size=3).map(tuple)
    shares = st.floats(0, 1)
    weighted = inner.flatmap(
        lambda chosen: st.builds(
            OneOf,
            st.just(chosen),
            st.one_of(st.just(()), st.tuples(*[st.floats(0.01, 100) for _ in chosen])),
            shares,
        )
    )
    return st.one_of(weighted, st.builds(InSequence, inner, shares))


#: Steps whose word rules claim no more than all words together.
STEPS = grown(word_leaves(0.2))


@given(STEPS, st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_texts_are_what_their_edits_say_whatever_the_groups(step, seed):
    given = [*TEXTS, "", " two  words "]
    draft = drafted([step], given, 4, seed)
    texts, edits = (each.to_pylist() for each in rendered(draft))
    for row, (text, done) in enumerate(zip(texts, edits, strict=True)):
        assert replay(given[row // 4], done, ("[MASK]",)) == text
    # A word may be drawn in its own place, so not every changed row reads otherwise.
    moved = np.array(texts) != np.repeat(given, 4)
    assert not (draft.changed() & draft.dropped).any()
    assert not (moved & ~draft.changed() & ~draft.dropped).any()


@given(STEPS)
@settings(deadline=None, max_examples=30)
def test_more_copies_and_rows_after_it_leave_a_row_as_it_was(step):
    # Tags come from the words alone, but what a tag offers comes from the whole corpus.
    step = _without_pos(step)
    many = preview(TEXTS, [step], copies=5)
    assert preview(TEXTS[:2], [step], copies=5) == many[:10]
    assert np.array_equal(np.array(preview(TEXTS, [step], copies=2)), np.array(many).reshape(-1, 5)[:, :2].ravel())


def _without_pos(step):
    if isinstance(step, OneOf):
        return OneOf(tuple(map(_without_pos, step.steps)), step.weights, step.probability)
    if isinstance(step, InSequence):
        return InSequence(tuple(map(_without_pos, step.steps)), step.probability)
    return Mask(rate=step.rate) if isinstance(step, Pos) else step


# Features.


def features(step, rows=ROWS, copies=1):
    table = pa.table({"a": np.zeros(rows, np.int64), "b": np.zeros(rows, np.int64)})
    draft = FeatureDraft(0, table, *all_copies(rows, copies), seed=0)
    step.fit(None)(draft)
    return np.stack([column.to_numpy() for column in draft.columns], 1)


def test_rows_of_features_meet_one_branch_by_weight():
    made = features(OneOf((MarkFeature(1), MarkFeature(2)), (1.0, 3.0), 0.8))
    assert close((made[:, 0] == 1).sum(), ROWS, 0.2)
    assert close((made[:, 0] == 2).sum(), ROWS, 0.6)
    assert (made[:, 1] == 0).all()


def test_features_in_sequence_are_set_in_the_same_rows():
    made = features(InSequence((MarkFeature(1), MarkFeature(2, column=1)), 0.4))
    assert ((made[:, 0] == 1) == (made[:, 1] == 2)).all()
    assert close((made[:, 0] == 1).sum(), ROWS, 0.4)


def test_nested_choices_of_features_have_their_shares():
    made = features(OneOf((MarkFeature(1), OneOf((MarkFeature(2), MarkFeature(3, column=1))))))
    assert close((made[:, 0] == 1).sum(), ROWS, 0.5)
    assert close((made[:, 0] == 2).sum(), ROWS, 0.25)
    assert close((made[:, 1] == 3).sum(), ROWS, 0.25)
    assert ((made != 0).sum(1) == 1).all()


def test_groups_of_feature_rules_take_tables():
    table = pa.table({"a": list(range(40)), "b": [0.5] * 40})
    made = augment(table, [OneOf((MarkFeature(-1), MarkFeature(-2)))], copies=8)
    rows = [row for row in made.to_pylist() if row["copy"]]
    # Of eight copies with two outcomes two are kept; rows that only differ in "a" share none.
    assert sorted(row["a"] for row in rows) == [-2, -1]


# What is refused.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneOf(()), "one_of: must have at least one step, got none"),
        (lambda: InSequence(()), "in_sequence: must have at least one step, got none"),
        (lambda: OneOf((A, B), (1.0,)), "one_of: weights must be 2 numbers above 0, got 1.0"),
        (lambda: OneOf((A,), (1.0, 2.0)), "one_of: weights must be 1 numbers above 0, got 1.0, 2.0"),
        (lambda: OneOf((A, B), (1.0, 0.0)), "one_of: weights must be 2 numbers above 0, got 1.0, 0.0"),
        (lambda: OneOf((A, B), (-1.0, 1.0)), "one_of: weights must be 2 numbers above 0, got -1.0, 1.0"),
        (lambda: OneOf((A, B), (float("nan"), 1.0)), "one_of: weights must be 2 numbers above 0, got nan, 1.0"),
        (lambda: OneOf((A, B), probability=1.1), "one_of: probability must be between 0 and 1, got 1.1"),
        (lambda: InSequence((A,), -0.1), "in_sequence: probability must be between 0 and 1, got -0.1"),
        (lambda: InSequence((A,), float("nan")), "in_sequence: probability must be between 0 and 1, got nan"),
        (lambda: Recipe("mixed", (Mask(), MarkFeature(1))), "recipe: steps must all edit texts or all features"),
        (lambda: Recipe("mixed", (OneOf((Mask(), MarkFeature(1))),)), "must all edit texts or all features, got both"),
        (lambda: Recipe("mixed", (Mask(), InSequence((OneOf((MarkFeature(1),)),)))), "must all edit texts or all feat"),
    ],
)
def test_groups_that_cannot_be_are_refused_in_one_line(make, message):
    with pytest.raises(StillhouseError) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weights", [(1.0, float("nan")), (1.0, float("inf")), (float("inf"), 1.0)])
def test_weights_that_are_no_finite_numbers_are_refused(weights):
    with pytest.raises(StillhouseError, match="one_of: weights must be 2 numbers above 0"):
        OneOf((A, B), weights)
