"""The summary of a transfer set against the same numbers counted one row at a time."""

import json
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import WORDS
from hypothesis import given
from hypothesis import strategies as st

from augment import InSequence, Mask, Ngram, Pos, Random, _tallies, augment_file, summarize
from augment import _ingest as ingest_module
from augment._tallies import Histogram, _WordCounts
from augment.summary import drawn
from transferset import Source, StillhouseError, Task, TransferSet
from transferset.words import split_words

TEXT = Task("text", ("text",))
PAIR = Task("pair", ("one", "two"))
CELLS = Task("features", ("height", "kind", "weight"))


@dataclass(frozen=True)
class Shout:
    """Puts words in capitals, which no vocabulary of lower-case texts has."""

    rate: float = 0.2

    def fit(self, corpus):
        return self.edit

    def edit(self, draft):
        places = draft.claim(self.rate)
        old = draft.block.words.strings.take(pa.array(draft.word[places]))
        draft.replace("shout", places, pc.utf8_upper(old))


STEPS = (Mask(rate=0.1), Pos(rate=0.2, tagger="classes"), Shout(), Ngram(rate=0.3))


def some_texts(count, seed=0):
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, random.integers(1, 9))) for _ in range(count)]
    # Words that an edit may bring in before the original that has them is read.
    return [*texts, "", "FILM GOOD , IS IT ?", "a [MASK] film"]


def set_of(tmp_path, table, task, steps=STEPS, **options):
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    store = augment_file(Source(tmp_path / "rows.parquet"), task, tmp_path / "T", steps, **{"copies": 6, **options})
    return TransferSet(store)


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of some two hundred rows, and counts of words merged often."""
    monkeypatch.setattr(ingest_module, "PART_ROWS", 200)
    monkeypatch.setattr(_tallies, "_MERGED_AT", 10)


@pytest.fixture(params=["text", "pair", "pair drawn"])
def texts_set(request, tmp_path, small_parts):
    if request.param == "text":
        return set_of(tmp_path, {"text": some_texts(150)}, TEXT)
    table = {"one": some_texts(120, 1), "two": some_texts(120, 2)}
    return set_of(tmp_path, table, PAIR, exact=request.param == "pair drawn")


def rows_of(transfer):
    return pa.concat_tables(transfer.tables()).to_pylist()


def words_of(text):
    return split_words(pa.array([text], pa.string()), ("[MASK]",)).strings.to_pylist()


def spread_of(values):
    values = values or [0]
    return (min(values), np.median(values), pytest.approx(np.mean(values)), max(values))


def as_tuple(spread):
    return (spread.least, spread.median, spread.mean, spread.most)


def test_rows_and_rules_are_those_counted_one_by_one(texts_set):
    found, rows = summarize(texts_set), rows_of(texts_set)
    assert found.parts == len(texts_set.store.parts()) > 3
    copies = [row for row in rows if row["copy"]]
    assert (found.rows, found.originals, found.augmented) == (len(rows), len(rows) - len(copies), len(copies))
    each = Counter(row["source"] for row in copies)
    numbers = [each[row["source"]] for row in rows if not row["copy"]]
    assert as_tuple(found.copies) == spread_of(numbers)
    assert found.without_copies == numbers.count(0) > 0
    edits = Counter(edit["rule"] for row in copies for edit in row["edits"])
    with_any = Counter(rule for row in copies for rule in {edit["rule"] for edit in row["edits"]})
    assert {rule: (use.edits, use.rows) for rule, use in found.rules.items()} == {
        rule: (edits[rule], with_any[rule]) for rule in ("mask", "ngram", "pos", "shout")
    }
    assert {rule: use.share for rule, use in found.rules.items()} == pytest.approx(
        {rule: with_any[rule] / len(copies) for rule in with_any}
    )


def test_changes_of_texts_are_those_seen_in_the_texts_themselves(texts_set):
    found, rows, inputs = summarize(texts_set).texts, rows_of(texts_set), texts_set.task.inputs
    originals = {row["source"]: row for row in rows if not row["copy"]}
    replaced, dropped, shares, before, after, sides = [], [], [], [], [], Counter()
    for row in (row for row in rows if row["copy"]):
        edited = [name for name in inputs if row[name] != originals[row["source"]][name]]
        # A text that came back as it was after its edits shows in the record alone.
        recorded = [inputs[n] for n in sorted({edit["input"] for edit in row["edits"]})]
        assert set(edited) <= set(recorded)
        sides[tuple(recorded)] += 1
        for name in recorded:
            old, new = words_of(originals[row["source"]][name]), words_of(row[name])
            own = [edit for edit in row["edits"] if inputs[edit["input"]] == name]
            start = next((edit["position"] for edit in own if edit["new"] is None), 0)
            replaced.append(sum(a != b for a, b in zip(old[start:], new, strict=False)))
            dropped.append(len(old) - len(new))
            shares.append((replaced[-1] + dropped[-1]) / len(old))
            before.append(len(old))
            after.append(len(new))
    assert found.edited == len(before) > 500
    assert found.replaced == pytest.approx(np.mean(replaced))
    assert found.dropped == pytest.approx(np.mean(dropped))
    assert found.changed_share == pytest.approx(np.mean(shares))
    assert as_tuple(found.before_words) == spread_of(before)
    assert as_tuple(found.after_words) == spread_of(after)
    lengths = [len(words_of(row[name])) for row in originals.values() for name in inputs]
    assert as_tuple(found.original_words) == spread_of(lengths)
    if len(inputs) == 2:
        turns = {"first": sides[("one",)], "second": sides[("two",)], "both": sides[("one", "two")]}
        assert min(turns.values()) > 50
        assert found.sides == pytest.approx({turn: count / sides.total() for turn, count in turns.items()})
    else:
        assert found.sides is None


def test_words_gained_are_in_no_original_however_late_it_comes(texts_set):
    found, rows = summarize(texts_set).texts, rows_of(texts_set)
    known = {word for row in rows if not row["copy"] for name in texts_set.task.inputs for word in words_of(row[name])}
    new = Counter(
        edit["new"]
        for row in rows
        for edit in row["edits"]
        if edit["new"] not in (None, edit["old"], "[MASK]") and edit["new"] not in known
    )
    assert {"FILM", "GOOD"} <= known
    assert found.vocabulary == len(known)
    assert found.gained == len(new) > 10
    assert list(found.most_gained.items()) == sorted(new.items(), key=lambda item: (-item[1], item[0]))[:10]


def test_every_draw_was_kept_or_dropped(tmp_path, small_parts):
    transfer = set_of(tmp_path, {"text": some_texts(100)}, TEXT)
    found = summarize(transfer)
    assert found.drawn == 6 * 103 == found.augmented + found.unchanged + found.duplicates
    assert found.unchanged_share == found.unchanged / found.drawn > 0
    assert found.duplicates_share == found.duplicates / found.drawn > 0
    assert found.short is None


def test_an_exact_set_says_how_many_rows_it_lacks(tmp_path):
    found = summarize(set_of(tmp_path, {"text": ["a fine film , and very funny", "dull"]}, TEXT, exact=True))
    assert found.augmented < 12
    assert found.short == 2 * 6 - found.augmented
    assert found.drawn > 12


def test_ngrams_one_inside_the_other_drop_each_word_once(tmp_path):
    steps = [InSequence((Ngram(rate=1.0, shortest=4, longest=5), Ngram(rate=1.0, shortest=1, longest=2)))]
    found = summarize(set_of(tmp_path, {"text": some_texts(40)}, TEXT, steps)).texts
    assert found.after_words.most == 2
    assert found.dropped == pytest.approx(found.before_words.mean - found.after_words.mean)
    assert found.replaced == 0.0


def test_cells_that_changed_are_those_that_differ(tmp_path, small_parts):
    random = np.random.default_rng(0)
    table = {
        "height": random.integers(0, 90, 120),
        "kind": [None if random.random() < 0.3 else "ab"[random.integers(2)] for _ in range(120)],
        "weight": random.choice([0.5, 1.5, 2.5], 120),
    }
    transfer = set_of(tmp_path, table, CELLS, [Random()])
    found, rows = summarize(transfer), rows_of(transfer)
    originals = {row["source"]: row for row in rows if not row["copy"]}
    changed = [sum(row[name] != originals[row["source"]][name] for name in CELLS.inputs) for row in rows if row["copy"]]
    assert found.parts > 3
    assert found.texts is None
    assert found.cells.changed == pytest.approx(np.mean(changed))
    assert found.cells.changed_share == pytest.approx(np.mean(changed) / 3)


def test_an_unfinished_set_is_summed_up_as_far_as_it_is(tmp_path, small_parts):
    transfer = set_of(tmp_path, {"text": some_texts(150)}, TEXT)
    whole, parts = summarize(transfer), transfer.store.parts()
    rows = [len(rows_of(transfer)) - part.rows for part in parts]
    (tmp_path / "T" / "_manifest" / "000002.json").unlink()
    found = summarize(transfer)
    assert (found.parts, found.missing_parts, found.rows) == (len(parts) - 1, 1, rows[2])
    assert found.originals == whole.originals - parts[2].notes["originals"]
    assert found.rules["mask"].edits == whole.rules["mask"].edits - parts[2].notes["edits"]["mask"]
    for file in (tmp_path / "T" / "_manifest").glob("0*.json"):
        file.unlink()
    nothing = summarize(transfer)
    assert (nothing.rows, nothing.missing_parts, nothing.texts.vocabulary) == (0, len(parts), 0)


@pytest.mark.parametrize(("table", "task"), [({"text": ["a film"]}, TEXT), ({"one": ["a"], "two": ["b"]}, PAIR)])
def test_a_set_without_copies_has_only_originals(tmp_path, table, task):
    found = summarize(set_of(tmp_path, table, task, copies=0))
    assert (found.rows, found.augmented, found.drawn, found.rules, found.without_copies) == (1, 0, 0, {}, 1)
    assert found.texts.vocabulary == 2
    assert found.texts.changed_share == 0.0


def test_features_without_copies_have_no_changes(tmp_path):
    found = summarize(set_of(tmp_path, {"height": [1], "kind": ["a"], "weight": [0.5]}, CELLS, [Random()], copies=0))
    assert (found.cells.changed, found.cells.changed_share) == (0.0, 0.0)


def test_what_the_writers_noted_is_what_the_rows_say(texts_set):
    noted, found = drawn(texts_set.store), summarize(texts_set)
    assert noted.edits == {rule: use.edits for rule, use in found.rules.items()}
    assert (noted.originals + noted.augmented, noted.short) == (len(rows_of(texts_set)), found.short)


def test_the_numbers_are_plain_and_go_through_json(texts_set):
    found = asdict(summarize(texts_set))
    assert json.loads(json.dumps(found)) == found


def test_a_damaged_part_is_named(tmp_path):
    transfer = set_of(tmp_path, {"text": some_texts(20)}, TEXT)
    file = tmp_path / "T" / transfer.store.parts()[0].file
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StillhouseError, match=f"{file.name}: must have checksum"):
        summarize(transfer)


@given(st.lists(st.lists(st.integers(0, 30)), max_size=4))
def test_a_histogram_gives_the_spread_of_all_its_numbers(batches):
    histogram = Histogram()
    for each in batches:
        histogram.add(np.array(each, np.int64))
    numbers = [number for each in batches for number in each]
    assert as_tuple(histogram.spread()) == spread_of(numbers)


@given(st.lists(st.lists(st.sampled_from(["a", "A", "b", "é", ""]), max_size=20), max_size=6))
def test_words_are_counted_over_all_batches_however_often_they_are_merged(batches):
    counts = _WordCounts()
    for each in batches:
        counts.add(pa.array(each, pa.string()))
        counts.table()
    table = counts.table()
    expected = Counter(word for each in batches for word in each)
    assert dict(zip(table["word"].to_pylist(), table["times"].to_pylist(), strict=True)) == expected
