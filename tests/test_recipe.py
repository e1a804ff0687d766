"""Recipes: files, the published one and its rates, adjustments, and every way of writing one wrongly."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, one_line_error, preview, rendered, stillhouse

from augment import Mask, Ngram, Pos, Recipe, augment_file, load_recipe, published
from augment.recipe import as_recipe
from transferset import Source, StillhouseError, Store, Task


def by_last_letter(sentences):
    return [[word[-1] for word in words] for words in sentences]


@pytest.fixture(scope="module")
def tang_draft(shared):
    """Two copies of each SST-2 training phrase by tang2019; tags that cost nothing, as rates do not depend on them."""
    batches = Source(shared / "data" / "sst2" / "train.tsv").batches(["sentence"])
    corpus = corpus_of(pa.concat_arrays([batch.column(0) for batch in batches]), ("[MASK]",))
    draft = draft_of(corpus.block(0), 2, 0)
    for step in load_recipe("tang2019").steps:
        cheap = dataclasses.replace(step, tagger=by_last_letter) if isinstance(step, Pos) else step
        cheap.fit(corpus)(draft)
    return draft


def close(hits, count, rate):
    """Whether the share is within three standard errors."""
    return abs(hits / count - rate) <= 3 * np.sqrt(rate * (1 - rate) / count)


def test_tang2019_is_as_published():
    recipe = load_recipe("tang2019")
    assert recipe.steps == (Mask(rate=0.1), Pos(rate=0.1, tagger="nltk"), Ngram(rate=0.25, shortest=1, longest=5))
    assert recipe.copies == 20
    assert recipe.mask_token == "[MASK]"


def test_tang2019_masks_and_replaces_a_tenth_of_the_words_each(tang_draft):
    mask, pos = tang_draft.edits
    assert (mask.rule, pos.rule) == ("mask", "pos")
    assert close(len(mask.places), len(tang_draft.word), 0.1)
    assert close(len(pos.places), len(tang_draft.word), 0.1)


def test_tang2019_never_masks_and_replaces_the_same_word(tang_draft):
    mask, pos = tang_draft.edits
    assert not len(np.intersect1d(mask.places, pos.places))
    # Exclusive rules make 0.2 in all, independent ones would make 0.19.
    assert close(len(mask.places) + len(pos.places), len(tang_draft.word), 0.2)


def test_tang2019_cuts_a_quarter_of_the_rows_to_an_ngram(tang_draft):
    rows, count = tang_draft.windows[0].rows, tang_draft.windows[0].count
    lengths = np.diff(tang_draft.first)
    assert close(len(rows), int((lengths > 0).sum()), 0.25)
    long = lengths[rows] >= 5
    for n in range(1, 6):
        assert close(int((count[long] == n).sum()), int(long.sum()), 0.2)


def test_tang2019_cuts_rows_whatever_was_done_to_their_words(tang_draft):
    rows = tang_draft.windows[0].rows
    cut = np.zeros(len(tang_draft.text), np.bool_)
    cut[rows] = True
    in_cut = cut[tang_draft.row]
    for each in tang_draft.edits:
        assert close(int(in_cut[each.places].sum()), int(in_cut.sum()), 0.1)
        assert close(int((~in_cut)[each.places].sum()), int((~in_cut).sum()), 0.1)


def test_tang2019_records_its_rates_in_the_edits_of_whole_rows(tang_draft):
    rows = tang_draft.windows[0].rows
    uncut = np.setdiff1d(np.arange(len(tang_draft.text)), rows)[:40_000]
    done = rendered(tang_draft, uncut)[1]
    rules = done.flatten().field("rule").to_pylist()
    words = int(np.diff(tang_draft.first)[uncut].sum())
    assert set(rules) == {"mask", "pos"}
    assert close(rules.count("mask"), words, 0.1)
    assert close(rules.count("pos"), words, 0.1)


def test_rates_are_the_same_in_another_order(shared):
    texts = pa.array(["a fine film with a slow plot and good acting"] * 5000)
    corpus = corpus_of(texts)
    draft = draft_of(corpus.block(0), 1, 0)
    for step in (Ngram(), Pos(rate=0.15, tagger=by_last_letter), Mask(rate=0.3)):
        step.fit(corpus)(draft)
    pos, mask = draft.edits
    assert close(len(pos.places), len(draft.word), 0.15)
    assert close(len(mask.places), len(draft.word), 0.3)


def write(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    return path


def as_toml(recipe):
    """A recipe as a user would write it."""
    lines = [f"copies = {recipe.copies}"]
    for step in recipe.to_json()["step"]:
        lines += ["", "[[step]]"]
        lines += [
            f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in step.items()
        ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "recipe",
    [
        load_recipe("tang2019"),
        Recipe("mine", (Mask(rate=0.5, token="<mask>"),), 3),
        Recipe("mine", (Pos(rate=1.0, tagger="classes:vectors.txt"), Mask(rate=0.0), Ngram(1.0, 2, 9)), 0),
    ],
)
def test_a_recipe_is_the_same_after_a_trip_through_toml(tmp_path, recipe):
    again = load_recipe(write(tmp_path, as_toml(recipe)))
    assert (again.steps, again.copies) == (recipe.steps, recipe.copies)
    assert again.name == "mine"


def test_parameters_left_out_have_their_defaults(tmp_path):
    recipe = load_recipe(write(tmp_path, '[[step]]\nuse = "ngram"\n\n[[step]]\nuse = "mask"\nrate = 1\n'))
    assert recipe.steps == (Ngram(), Mask(rate=1.0))
    assert recipe.copies == 20


def test_every_published_recipe_loads_under_its_name():
    assert published()
    for name in published():
        assert load_recipe(name).name == name
        assert load_recipe(name).steps


def test_the_mask_token_of_a_recipe_without_a_mask_is_none():
    assert Recipe("none", (Ngram(),), 1).mask_token is None


@pytest.mark.parametrize("made", ["tang2019", load_recipe("tang2019"), list(load_recipe("tang2019").steps)])
def test_a_recipe_may_be_given_by_name_whole_or_as_steps(made):
    assert as_recipe(made).steps == load_recipe("tang2019").steps


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have at least one [[step]], got none"),
        ("copies = 3", "must have at least one [[step]], got none"),
        ("step = []", "must have at least one [[step]], got none"),
        ("step = 3", "step must be a list of tables ([[step]]), got 3"),
        ('step = ["mask"]', "step 1: must say which augmenter to use, got 'mask'"),
        ("[[step]]\nrate = 0.1", "step 1: must say which augmenter to use, got {'rate': 0.1}"),
        ("[[step]]\nuse = 7", "step 1: use must be the name of an augmenter, got 7"),
        ('[[step]]\nuse = "mask"\n[[step]]\nuse = "maks"', "step 2: use: must be one of "),
        ('[[step]]\nuse = "maks"', "got 'maks': did you mean 'mask'?"),
        ('[[step]]\nuse = "engine"', "step 1: use: must be one of "),
        (
            '[[step]]\nuse = "mask"\nrat = 0.1',
            "step 1: parameter: must be one of rate, token, got 'rat': did you mean 'rate'?",
        ),
        ('[[step]]\nuse = "mask"\nrate = "0.1"', "step 1: rate must be float, got '0.1'"),
        ('[[step]]\nuse = "mask"\nrate = true', "step 1: rate must be float, got True"),
        ('[[step]]\nuse = "mask"\nrate = 1.7', "mask: rate must be between 0 and 1, got 1.7"),
        ('[[step]]\nuse = "mask"\nrate = nan', "mask: rate must be between 0 and 1, got nan"),
        ('[[step]]\nuse = "mask"\ntoken = 5', "step 1: token must be str, got 5"),
        ('[[step]]\nuse = "ngram"\nlongest = 2.5', "step 1: longest must be int, got 2.5"),
        ('[[step]]\nuse = "pos"\ntagger = 5', "step 1: tagger must be"),
        ('[[step]]\nuse = "pos"\ntagger = ["nltk"]', "step 1: tagger must be"),
        ('copies = -1\n[[step]]\nuse = "mask"', "copies must be at least 0, got -1"),
        ('copies = 2.0\n[[step]]\nuse = "mask"', "copies must be int, got 2.0"),
        ('copies = true\n[[step]]\nuse = "mask"', "copies must be int, got True"),
        ('copys = 2\n[[step]]\nuse = "mask"', "key: must be one of "),
        ('copys = 2\n[[step]]\nuse = "mask"', "got 'copys': did you mean 'copies'?"),
        ("[[step]", "must be a recipe in TOML: "),
    ],
)
def test_a_wrong_recipe_is_refused_by_name_and_place(tmp_path, text, message):
    with pytest.raises(StillhouseError) as error:
        load_recipe(write(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_recipe_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"copies = \xff")
    with pytest.raises(StillhouseError, match=r"mine\.toml: must be a recipe in TOML"):
        load_recipe(path)


def test_a_missing_recipe_file_is_named(tmp_path):
    with pytest.raises(StillhouseError, match=r"nowhere\.toml: must be a recipe in TOML"):
        load_recipe(tmp_path / "nowhere.toml")


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(StillhouseError) as error:
        load_recipe("tang2091")
    assert "tang2019" in str(error.value)
    assert str(error.value).endswith("got 'tang2091': did you mean 'tang2019'?")


def test_adjusted_changes_what_is_named_and_nothing_else():
    recipe = load_recipe("tang2019")
    changed = recipe.adjusted({"mask": {"rate": 0.5}, "ngram": {"longest": 3}})
    assert changed.steps == (Mask(rate=0.5), recipe.steps[1], Ngram(rate=0.25, longest=3))
    assert (changed.name, changed.copies) == (recipe.name, recipe.copies)
    assert recipe == load_recipe("tang2019")


def test_adjusted_by_nothing_is_the_same():
    assert load_recipe("tang2019").adjusted({}) == load_recipe("tang2019")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pos": {"rate": 0.5}}, "recipe mine: step: must be one of mask, got 'pos'"),
        ({"maks": {"rate": 0.5}}, "got 'maks': did you mean 'mask'?"),
        ({"mask": {"rat": 0.5}}, "got 'rat': did you mean 'rate'?"),
        ({"mask": {"rate": "much"}}, "rate must be float, got 'much'"),
        ({"mask": {"rate": 3.0}}, "mask: rate must be between 0 and 1, got 3.0"),
    ],
)
def test_adjusted_refuses_what_does_not_fit(changes, message):
    with pytest.raises(StillhouseError) as error:
        Recipe("mine", (Mask(),), 1).adjusted(changes)
    assert message in str(error.value)


TOO_MUCH = [Mask(rate=0.6), Pos(rate=0.5, tagger=by_last_letter)]


def test_rates_of_more_than_1_together_are_refused():
    with pytest.raises(StillhouseError, match=r"rates of word rules must add up to at most 1, got 1.1"):
        preview(["a film"], TOO_MUCH)


def test_rates_of_exactly_1_together_take_every_word():
    texts = [" ".join(["word"] * 200)] * 5
    steps = [Mask(rate=0.1, token="[X]"), Mask(rate=0.2, token="[X]"), Mask(rate=0.7, token="[X]")]
    assert set(preview(texts, steps)) == {" ".join(["[X]"] * 200)}


def test_rates_of_more_than_1_together_leave_nothing_in_out(tmp_path, labelled_file):
    with pytest.raises(StillhouseError, match="must add up to at most 1"):
        augment_file(Source(labelled_file), Task("text", ("text",), "label"), tmp_path / "out", TOO_MUCH)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_directory_stays_and_stays_empty_when_a_recipe_is_refused(tmp_path, labelled_file):
    (tmp_path / "out").mkdir()
    with pytest.raises(StillhouseError, match="must add up to at most 1"):
        augment_file(Source(labelled_file), Task("text", ("text",), "label"), tmp_path / "out", TOO_MUCH)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_refuses_an_unknown_recipe_and_writes_nothing(tmp_path, labelled_file):
    done = stillhouse("augment", labelled_file, "--text", "text", "--recipe", "tang2091", "--out", tmp_path / "out")
    assert "did you mean 'tang2019'?" in one_line_error(done)
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_a_recipe_file_and_adjusts_it(tmp_path, labelled_file):
    path = write(tmp_path, 'copies = 2\n[[step]]\nuse = "mask"\nrate = 0.0\n')
    adjusted = ("--recipe", path, "--mask-rate", 1, "--mask-token", "[X]")
    done = stillhouse("augment", labelled_file, "--text", "text", *adjusted, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    store = Store.open(tmp_path / "out")
    assert store.about["copies"] == 2
    assert store.about["mask_token"] == "[X]"
    assert store.about["recipe"]["name"] == "mine"
    assert store.about["recipe"]["step"] == [{"use": "mask", "rate": 1.0, "token": "[X]"}]
    rows = pa.concat_tables(store.tables()).to_pylist()
    assert all(set(row["text"].split()) == {"[X]"} for row in rows if row["copy"] > 0)


def test_the_command_refuses_a_parameter_of_a_step_that_the_recipe_lacks(tmp_path, labelled_file):
    path = write(tmp_path, '[[step]]\nuse = "mask"\n')
    done = stillhouse(
        "augment", labelled_file, "--text", "text", "--recipe", path, "--pos-rate", 0.2, "--out", tmp_path / "out"
    )
    assert "recipe mine: step: must be one of mask, got 'pos'" in one_line_error(done)
    assert not (tmp_path / "out").exists()
