"""Words from a masked language model: what it is asked, what is kept of it, how often and how evenly it is drawn."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import MASKED_LMS, WORDS, corpus_of, one_line_error, stillhouse
from scipy.stats import chisquare
from test_augmenters import drafted, drawn
from test_masked_lm import plain_script

import augment.mlm
from augment import Mask, Mlm, Ngram, Recipe, Vectors, augment_file, load_recipe
from augment import augment as augmented
from augment._candidates import Candidates
from augment._masked_lm import CONTEXTS, MaskedLM
from augment.mlm import _chunks, have_letters
from transferset import Source, StillhouseError, Store, Task
from transferset.words import split_words

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = [
    "the film is not good",
    "café 👍🏽 — FILM , a Great story ; 很 very dull",
    "films filming was slow , the plots",
    "",
    "!",
    "good",
]


def random_texts(count, words=WORDS, seed=0, length=8):
    some = np.random.default_rng(seed)
    return [" ".join(some.choice(words, length)) for _ in range(count)]


@pytest.fixture
def asked(monkeypatch):
    """The words that models are asked about, as they are asked: (text, word)."""
    words, propose = [], MaskedLM.propose

    def listened(self, texts, spans):
        words.extend((text, text[a:b]) for text, each in zip(texts, spans, strict=True) for _, a, b in each.tolist())
        return propose(self, texts, spans)

    monkeypatch.setattr(MaskedLM, "propose", listened)
    return words


def no_model(*given):
    raise AssertionError("a model was loaded")


def mlm(folder, **given):
    return Mlm(model=str(folder), **{"k": 5, **given})


def file_of(texts, folder):
    path = folder / "texts.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    return Source(path)


def written(texts, folder, out, steps, **options):
    return augment_file(file_of(texts, folder), Task("text", ("text",)), folder / out, steps, **options)


def parts_in(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.glob("part-*"))}


# What is drawn from.


def in_case_of(old, new):
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[0].isupper() else new


@pytest.mark.parametrize("context", CONTEXTS)
def test_words_are_drawn_from_what_a_plain_script_finds(context, masked_lms):
    folder = masked_lms["bert"]
    made = drawn([mlm(folder, rate=1.0, context=context)], TEXTS, copies=300)
    found = {}
    for row in made:
        for edit in row["edits"]:
            found.setdefault((row["source"], edit["position"]), set()).add(edit["new"])
    expected = {}
    for number, text in enumerate(TEXTS):
        words, candidates = split_words(pa.array([text])), plain_script(folder).candidates(text, 5, context)
        for position, (start, word) in enumerate(zip(words.start.tolist(), words.strings.to_pylist(), strict=True)):
            offers = candidates.get(len(text.encode()[:start].decode()))
            if offers is not None:
                expected[number, position] = {in_case_of(word, offer) for offer in offers}
    assert found == expected
    assert len(found) > 12


def test_real_candidates_are_whole_words_and_never_the_original(shared):
    folder = shared / "models" / "minilm-l6-mlm"
    texts = ["An utterly charming film about friendship .", "the plot is wafer-thin"]
    made = drawn([Mlm(model=str(folder), rate=1.0)], texts, copies=200)
    found = {}
    for row in made:
        for edit in row["edits"]:
            assert edit["new"].lower() != edit["old"].lower()
            assert re.fullmatch(r"[^\W_]+", edit["new"])
            found.setdefault((row["source"], edit["old"]), set()).add(edit["new"])
    assert all(len(words) == 15 for words in found.values())
    assert {old for _, old in found} == {
        "An",
        "utterly",
        "charming",
        "film",
        "about",
        "friendship",
        "the",
        "plot",
        "is",
    }
    assert {"movie", "story", "book"} & found[0, "film"]
    assert all(word[0].isupper() for word in found[0, "An"])


def test_an_original_mask_in_a_text_is_no_mask_to_the_model(masked_lms):
    # Where a recipe masks words, [MASK] is one word of the text; it is letters to the model all the same.
    folder = masked_lms["bert"]
    for steps in ([mlm(folder, rate=1.0)], [Mask(rate=0.0), mlm(folder, rate=1.0)]):
        made = drawn(steps, ["the [MASK] film", "[MASK]"], copies=30)
        assert {row["source"] for row in made} == {0}
        assert {edit["old"] for row in made for edit in row["edits"]} == {"the", "film"}
        assert all(" [MASK] " in row["text"] for row in made)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("token", ["[MASK]", "<mask>", "<film>"])
def test_a_mask_token_is_one_word_and_stays_as_it_is(token, context, masked_lms, asked):
    mask = [] if token != "<film>" else [Mask(rate=0.0, token=token)]
    steps = [*mask, mlm(masked_lms["roberta"], rate=1.0, context=context)]
    made = augmented([f"film {token} great {token}{token}"], steps, copies=9).to_pylist()
    copies = [row for row in made if row["copy"]]
    assert len(copies) > 2
    assert {(edit["position"], edit["old"]) for row in copies for edit in row["edits"]} == {(0, "film"), (2, "great")}
    assert all(re.fullmatch(rf"\w+ {re.escape(token)} \w+ {re.escape(token * 2)}", row["text"]) for row in copies)


@pytest.mark.parametrize("kind", MASKED_LMS)
def test_every_kind_of_model_runs_as_it_is_loaded_by_default(kind, masked_lms):
    made = augmented(TEXTS, [Mlm(rate=0.5, model=str(masked_lms[kind]))], copies=8).to_pylist()
    assert {0, 1, 2} <= {row["source"] for row in made if row["copy"]} <= {0, 1, 2, 5}


@pytest.mark.parametrize("context", CONTEXTS)
def test_real_candidates_do_not_depend_on_what_else_was_asked(context, shared, tmp_path, monkeypatch):
    folder, texts = shared / "models" / "minilm-l6-mlm", [*TEXTS[:3], "An utterly charming film about friendship ."]
    steps = [Mlm(rate=0.5, model=str(folder), context=context)]
    together = augmented(texts, steps, copies=20)
    assert len(together) > 50
    for text in texts:
        augmented([text], steps, copies=1, candidates=tmp_path)
    monkeypatch.setattr(augment.mlm, "MaskedLM", no_model)
    assert augmented(texts, steps, copies=20, candidates=tmp_path).equals(together)


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.9])
def test_the_share_of_words_replaced_is_the_rate(rate, tiny_masked_lm):
    texts = random_texts(150)
    draft = drafted(texts, [mlm(tiny_masked_lm, rate=rate)], copies=12)
    eligible = sum(word.isalpha() for text in texts for word in text.split()) * 12
    assert eligible > 10_000
    share = len(draft.edits[0].places) / eligible
    assert abs(share - rate) < 3 * np.sqrt(rate * (1 - rate) / eligible)


def test_all_candidates_are_equally_likely(tiny_masked_lm):
    made = drawn([mlm(tiny_masked_lm, rate=1.0, k=15)], ["the film was"], copies=15_000)
    for position in range(3):
        counts = Counter(edit["new"] for row in made for edit in row["edits"] if edit["position"] == position)
        assert len(counts) == 15
        # One fixed seed: a p-value this low is a fault, not chance.
        assert chisquare(list(counts.values())).pvalue > 1e-3


def test_which_candidate_does_not_depend_on_which_at_the_next_word(tiny_masked_lm):
    made = drawn([mlm(tiny_masked_lm, rate=1.0, k=3)], ["film was"], copies=9000)
    pairs = Counter(tuple(edit["new"] for edit in row["edits"]) for row in made)
    assert len(pairs) == 9
    assert chisquare(list(pairs.values())).pvalue > 1e-3


def test_two_steps_share_the_words_and_draw_differently(tiny_masked_lm):
    texts = random_texts(60)
    once, other = mlm(tiny_masked_lm, rate=0.5), mlm(tiny_masked_lm, rate=0.5, context="unmasked")
    draft = drafted(texts, [once, other], copies=5)
    first, second = (set(each.places.tolist()) for each in draft.edits)
    assert not first & second
    eligible = sum(word.isalpha() for text in texts for word in text.split()) * 5
    assert len(first) + len(second) == eligible


# What is asked.


def test_a_text_that_comes_again_is_asked_about_once(tiny_masked_lm, asked, monkeypatch):
    texts = ["the film is good", "dull , so dull", "the film is good", "good", "dull , so dull", "good film"]
    made = augmented(texts, [mlm(tiny_masked_lm)], copies=3)
    assert len(made) > len(texts)
    distinct = Counter((text, word) for text in set(texts) for word in text.split() if word.isalpha())
    assert Counter(asked) == distinct
    # Nor in another block.
    asked.clear()
    monkeypatch.setattr("augment._ingest.PART_ROWS", 8)
    assert augmented(texts, [mlm(tiny_masked_lm)], copies=3).num_rows > len(texts)
    assert Counter(asked) == distinct


def test_the_second_text_of_a_pair_is_asked_about_like_the_first(tiny_masked_lm, asked):
    table = pa.table({"a": ["good film", "dull", "very slow"], "b": ["dull", "good film", "good film"]})
    augmented(table, [mlm(tiny_masked_lm)], copies=3, task=Task("pair", ("a", "b")))
    assert sorted(asked) == sorted(
        [("good film", "good"), ("good film", "film"), ("dull", "dull"), ("very slow", "very"), ("very slow", "slow")]
    )


def test_protected_words_and_signs_are_not_asked_about(tiny_masked_lm, asked):
    recipe = Recipe("test", (mlm(tiny_masked_lm),), 3, protect=("film", ":stop-words:", "/slow/"))
    augmented(["the good film , slow and 7 w7 !"], recipe)
    assert {word for _, word in asked} == {"good", "7", "w7"}


def test_where_words_are_masked_together_all_are_asked_about_whatever_is_protected(tiny_masked_lm, asked):
    recipe = Recipe("test", (mlm(tiny_masked_lm, rate=0.9, context="grouped"),), 3, protect=("film", ":stop-words:"))
    made = augmented(["the good film , slow and dull !"], recipe).to_pylist()
    assert {word for _, word in asked} == {"the", "good", "film", "slow", "and", "dull"}
    assert {edit["old"] for row in made for edit in row["edits"] or ()} == {"good", "slow", "dull"}


@pytest.mark.parametrize("pending", [slice(None), slice(None, None, 3), slice(5, 6), slice(0, 0)])
@pytest.mark.parametrize("size", [1, 7, 20, 10_000])
def test_what_is_asked_at_once_are_whole_texts(size, pending, monkeypatch):
    monkeypatch.setattr(augment.mlm, "_CHUNK", size)
    block = corpus_of([*random_texts(9), "", "! !", *random_texts(9, seed=1, length=30), "good"]).block(0)
    asked = np.flatnonzero(have_letters(block))
    text = np.searchsorted(block.words.first, asked, side="right")
    some = np.arange(len(asked))[pending]
    chunks = list(_chunks(block, asked, some))
    assert np.concatenate([*chunks, some[:0]]).tolist() == some.tolist()
    assert all(len(chunk) >= size for chunk in chunks[:-1])
    texts = [set(text[chunk].tolist()) for chunk in chunks]
    assert all(texts)
    assert sum(map(len, texts)) == len(set(text[some].tolist()))
    # No more than are wanted, but for the words of the last text.
    assert all(sum(text[chunk] != text[chunk[-1]]) < size for chunk in chunks)


# What is kept.


VARIATIONS = {
    "the same": {},
    "another seed": {"seed": 5},
    "more copies": {"copies": 9},
    "another rate": {"rate": 0.1},
    "another recipe": {"recipe": True},
    "fewer texts": {"texts": TEXTS[:2]},
    "texts in another order": {"texts": TEXTS[::-1]},
}


def varied(folder, seed=0, copies=3, rate=0.4, recipe=False, texts=TEXTS, **how):
    steps = [mlm(folder, rate=rate)]
    steps = [Mask(rate=0.2), *steps, Vectors(rate=0.2, source=str(folder), rest=True), Ngram()] if recipe else steps
    return augmented(texts, steps, copies=copies, seed=seed, **how)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("variation", VARIATIONS)
def test_a_second_run_asks_nothing_and_makes_what_a_fresh_one_would(
    variation, context, masked_lms, tmp_path, monkeypatch
):
    folder, kept, given = masked_lms["bert"], tmp_path / "kept", VARIATIONS[variation]
    fresh = varied(folder, **given)
    varied(folder, candidates=kept)
    monkeypatch.setattr(augment.mlm, "MaskedLM", no_model)
    assert varied(folder, candidates=kept, **given).equals(fresh)
    assert {store.name.partition("-")[0] for store in kept.iterdir()} <= {"mlm", "vectors"}


def test_only_new_texts_are_asked_about(tiny_masked_lm, tmp_path, asked):
    augmented(["the film is good"], [mlm(tiny_masked_lm)], copies=2, candidates=tmp_path)
    asked.clear()
    augmented(["so dull", "the film is good", "the film"], [mlm(tiny_masked_lm)], copies=2, candidates=tmp_path)
    assert Counter(asked) == Counter(
        [("so dull", "so"), ("so dull", "dull"), ("the film", "the"), ("the film", "film")]
    )


def test_a_transfer_set_keeps_what_was_asked_beside_it_and_shares_it(tiny_masked_lm, tmp_path, monkeypatch):
    steps = [mlm(tiny_masked_lm)]
    written(TEXTS, tmp_path, "one", steps, copies=4)
    (kept,) = (tmp_path / "one" / "_candidates").iterdir()
    assert Store.open(kept).verify() == []
    monkeypatch.setattr(augment.mlm, "MaskedLM", no_model)
    shared = {"candidates": tmp_path / "one" / "_candidates"}
    again = written(TEXTS, tmp_path, "two", steps, copies=4, **shared)
    assert parts_in(tmp_path / "two") == parts_in(tmp_path / "one")
    assert not (tmp_path / "two" / "_candidates").exists()
    assert again.rows() > len(TEXTS)
    other = written(
        TEXTS, tmp_path, "three", [Mask(rate=0.3), mlm(tiny_masked_lm, rate=0.3)], seed=9, copies=7, **shared
    )
    assert other.rows() > again.rows()


@pytest.mark.parametrize("other", [{"k": 6}, {"context": "grouped"}, {"max_length": 20}, {"model": True}])
def test_what_another_model_or_setting_offers_is_kept_apart(other, tiny_masked_lm, masked_lms, tmp_path, asked):
    augmented(["the film"], [mlm(tiny_masked_lm)], copies=2, candidates=tmp_path)
    changed = mlm(masked_lms["bert"]) if "model" in other else mlm(tiny_masked_lm, **other)
    asked.clear()
    augmented(["the film"], [changed], copies=2, candidates=tmp_path)
    assert len(asked) == 2
    assert len(list(tmp_path.iterdir())) == 2
    asked.clear()
    augmented(["the film"], [changed, mlm(tiny_masked_lm, rate=0.1)], copies=2, candidates=tmp_path)
    assert asked == []


def test_the_store_says_what_was_asked(tiny_masked_lm, tmp_path):
    augmented(["the film"], [mlm(tiny_masked_lm, k=4, context="grouped")], copies=2, candidates=tmp_path)
    (folder,) = tmp_path.iterdir()
    about = Store.open(folder).about
    assert (about["context"], about["k"], about["max_length"]) == ("grouped", 4, 128)
    # The model always computes in float32.
    assert set(about) == {"model", "context", "k", "max_length", "whole"}
    assert str(tiny_masked_lm) not in str(about)
    table = pa.concat_tables(Store.open(folder).tables())
    assert [len(offers) for offers in table["candidates"].to_pylist()] == [4, 4]


@pytest.mark.parametrize("context", CONTEXTS)
def test_what_a_recipe_protects_does_not_change_what_the_next_one_finds(context, masked_lms, tmp_path):
    texts, steps = random_texts(6, length=12), [mlm(masked_lms["bert"], rate=0.5, context=context)]
    fresh = augmented(texts, steps, copies=5)
    protecting = Recipe("test", tuple(steps), 5, protect=(":stop-words:", "film"))
    augmented(texts, protecting, candidates=tmp_path)
    assert augmented(texts, steps, copies=5, candidates=tmp_path).equals(fresh)


# What is killed.


class Killed(BaseException):
    """Not an error that anything handles."""


def dying(function, calls):
    """The function, until it is called once too often."""
    left = iter(range(calls))

    def call(*given):
        if next(left, None) is None:
            raise Killed
        return function(*given)

    return call


def torn(propose):
    """Proposals that end after the first batch of a later call."""
    calls = []

    def call(self, texts, words):
        self.batch_tokens = 20
        calls.append(1)
        for number, offers in enumerate(propose(self, texts, words)):
            if len(calls) == 3 and number:
                raise Killed
            yield offers

    return call


@pytest.mark.parametrize("where", ["before the first", "in the middle", "in a proposal", "after a commit"])
@pytest.mark.parametrize("context", ["masked", "grouped"])
def test_a_run_killed_while_it_asks_loses_nothing_that_was_committed(
    where, context, tiny_masked_lm, tmp_path, monkeypatch, asked
):
    texts, steps = random_texts(40), [mlm(tiny_masked_lm, context=context)]
    monkeypatch.setattr(augment.mlm, "_CHUNK", 30)
    monkeypatch.setattr("augment._ingest.PART_ROWS", 60)
    written(texts, tmp_path, "clean", steps, copies=3)
    everything = Counter(asked)
    asked.clear()
    with monkeypatch.context() as patched:
        if where == "in a proposal":
            patched.setattr(MaskedLM, "propose", torn(MaskedLM.propose))
        elif where == "after a commit":
            patched.setattr(Candidates, "_index", dying(Candidates._index, 3))
        else:
            patched.setattr(Candidates, "add", dying(Candidates.add, 0 if where == "before the first" else 4))
        with pytest.raises(Killed):
            written(texts, tmp_path, "out", steps, copies=3)
    (folder,) = (tmp_path / "out" / "_candidates").iterdir()
    committed = Store.open(folder).rows()
    assert (committed == 0) == (where == "before the first")
    assert committed < everything.total()
    asked.clear()
    written(texts, tmp_path, "out", steps, copies=3)
    assert len(asked) == everything.total() - committed
    assert parts_in(tmp_path / "out") == parts_in(tmp_path / "clean")
    assert Store.open(folder).verify() == []


# The published recipe.


def tinybert(folder, **source):
    source = source or {"source": str(folder)}
    return load_recipe("tinybert").adjusted({"mlm": {"model": str(folder)}, "vectors": source})


#: For the tiny model: words of one piece and of several, stop words, and words with other than letters.
SINGLE = ["film", "movie", "plot", "acting", "never", "good", "great", "fine", "bad", "dull", "funny", "story"]
SEVERAL = ["films", "plots", "movies", "goods"]
LEFT_ALONE = ["the", "was", "not", "and", "of", "w42", "7", "!", ",", "The", "n't"]


def test_the_recipe_is_as_published():
    recipe = load_recipe("tinybert")
    mlm_step, vectors = recipe.steps
    assert (recipe.copies, recipe.copies_of("pair"), recipe.pairs) == (20, 20, "alternate")
    assert (mlm_step.rate, mlm_step.k, mlm_step.context) == (0.4, 15, "masked")
    assert (vectors.rate, vectors.k, vectors.rest) == (0.4, 15, True)
    assert set(recipe.protect) == {":stop-words:", ":non-alphabetic:"}


def test_each_kind_of_word_has_its_rule_and_each_its_rate(tiny_masked_lm):
    texts = random_texts(120, [*SINGLE, *SEVERAL, *LEFT_ALONE], length=12)
    recipe = tinybert(tiny_masked_lm)
    made = drawn(recipe.steps, texts, copies=20, protect=recipe.protect)
    edited = Counter((edit["rule"], edit["old"]) for row in made for edit in row["edits"])
    assert {old for rule, old in edited if rule == "mlm"} == set(SINGLE)
    assert {old for rule, old in edited if rule == "vectors"} == set(SEVERAL)
    for rule, words in (("mlm", SINGLE), ("vectors", SEVERAL)):
        there = sum(word in words for text in texts for word in text.split()) * 20
        share = sum(count for (each, _), count in edited.items() if each == rule) / there
        assert there > 4000
        assert abs(share - 0.4) < 3 * np.sqrt(0.24 / there)


def test_the_other_text_of_a_pair_is_always_the_original(tiny_masked_lm):
    first, second = random_texts(15, SINGLE), random_texts(15, [*SINGLE, *SEVERAL], seed=1)
    table = pa.table({"a": first, "b": second})
    made = augmented(table, tinybert(tiny_masked_lm), task=Task("pair", ("a", "b"))).to_pylist()
    copies = [row for row in made if row["copy"]]
    assert {row["copy"] for row in copies} == set(range(1, 21))
    for row in copies:
        # The authors' script pairs edited first texts with edited second ones.
        edited, kept = ("a", "b") if row["copy"] % 2 else ("b", "a")
        assert row[kept] == (first if kept == "a" else second)[row["source"]]
        assert row[edited] != (first if edited == "a" else second)[row["source"]]
        assert {edit["input"] for edit in row["edits"]} == {0 if edited == "a" else 1}


def test_a_text_of_stop_words_and_signs_has_no_copies(tiny_masked_lm):
    made = augmented(["the film", "it was not the 7 ! w42 n't", ""], tinybert(tiny_masked_lm))
    assert set(made.filter(pa.compute.field("copy") > 0)["source"].to_pylist()) == {0}


def test_words_of_several_pieces_come_from_a_file_where_one_is_given(tiny_masked_lm, tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("films 1 0.1\nreels 1 0.2\nflicks 1 0.3\npuns -1 0\nfilm 1 0.11\n")
    recipe = tinybert(tiny_masked_lm, source=str(path), k=3)
    made = drawn(recipe.steps, ["films and film"], copies=60, protect=recipe.protect)
    found = {(edit["rule"], edit["old"], edit["new"]) for row in made for edit in row["edits"]}
    assert {new for rule, _, new in found if rule == "vectors"} == {"film", "reels", "flicks"}
    assert {old for rule, old, _ in found if rule == "mlm"} == {"film"}


def test_the_real_recipe_reads_like_english(shared):
    folder = shared / "models" / "minilm-l6-mlm"
    texts = ["the storytelling is lugubrious , but 2 of the actors are excellent", "it was not"]
    made = augmented(texts, tinybert(folder), copies=10, seed=1).to_pylist()
    copies = [row for row in made if row["copy"]]
    assert {row["source"] for row in copies} == {0}
    assert len(copies) > 4
    rules = {(edit["rule"], edit["old"]) for row in copies for edit in row["edits"]}
    assert rules == {("mlm", "storytelling"), ("vectors", "lugubrious"), ("mlm", "actors"), ("mlm", "excellent")}
    for row in copies:
        assert re.fullmatch(r"the \w+ is \w+ , but 2 of the \w+ are \w+", row["text"])


# What is wrong.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 1.5}, "mlm: rate must be between 0 and 1, got 1.5"),
        ({"rate": float("nan")}, "mlm: rate must be between 0 and 1, got nan"),
        ({"rate": None}, "mlm: rate must be between 0 and 1, got None"),
        ({"rate": "0.4"}, "mlm: rate must be between 0 and 1, got 0.4"),
        ({"k": 0}, "mlm: k must be at least 1, got 0"),
        ({"k": 2.5}, "mlm: k must be a whole number, got 2.5"),
        ({"k": True}, "mlm: k must be a whole number, got True"),
        ({"k": None}, "mlm: k must be a whole number, got None"),
        ({"max_length": 20.0}, "mlm: max_length must be a whole number, got 20.0"),
        ({"max_length": 8}, "mlm: max_length must be at least 16, got 8"),
    ],
)
def test_bad_parameters_are_named(given, message):
    with pytest.raises(StillhouseError) as error:
        Mlm(**given)
    assert str(error.value) == message


def test_an_unknown_context_names_the_known_ones():
    with pytest.raises(StillhouseError, match=r"^mlm: context.*'maskd'") as error:
        Mlm(context="maskd")
    assert all(context in str(error.value) for context in CONTEXTS)


def test_what_is_no_masked_language_model_is_one_line_and_leaves_nothing(tiny_teacher, tmp_path):
    for model in (str(tiny_teacher), str(tmp_path / "nowhere"), str(tmp_path)):
        with pytest.raises(StillhouseError) as error:
            written(TEXTS, tmp_path, "out", [Mlm(model=model)], copies=2)
        assert str(error.value).startswith(f"{model}: must be ")
        assert len(str(error.value).splitlines()) == 1
        assert not (tmp_path / "out").exists()


@pytest.fixture
def films(tmp_path):
    """A small file for the command line."""
    path = tmp_path / "films.csv"
    path.write_text("text,label\nthe good film,pos\ndull plots,neg\na great story,pos\n")
    return path


@pytest.mark.parametrize("option", ["--mlm-model", "--vectors-source"])
def test_a_model_that_cannot_be_reached_is_one_line(option, tiny_masked_lm, films, tmp_path):
    other = {"--mlm-model": "--vectors-source", "--vectors-source": "--mlm-model"}[option]
    done = stillhouse(
        *("augment", films, "--text", "text", "--recipe", "tinybert", "--copies", 1, "--out", tmp_path / "out"),
        *(option, "no-such/model", other, tiny_masked_lm),
        HF_HUB_OFFLINE="1",
    )
    assert one_line_error(done).startswith(
        "stillhouse: no-such/model: must be a Hugging Face model, a directory or name"
    )
    assert not (tmp_path / "out" / "_manifest").exists()


def test_the_command_line_runs_the_recipe(tiny_masked_lm, films, tmp_path):
    command = ("augment", films, "--text", "text", "--label", "label", "--recipe", "tinybert", "--copies", 9)
    models = ("--mlm-model", tiny_masked_lm, "--vectors-source", tiny_masked_lm, "--vectors-k", 3)
    done = stillhouse(*command, *models, "--out", tmp_path / "out", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr.decode()
    assert b"asking the language model" in done.stderr
    assert Store.open(tmp_path / "out").rows() > 9
    assert len(list((tmp_path / "out" / "_candidates").iterdir())) == 2
