"""Recipes: files, the published one and its rates, adjustments, and every way of writing one wrongly."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, one_line_error, preview, rendered, stillhouse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_compose import grown

from augment import (
    PAIRS,
    InSequence,
    Mask,
    Mlm,
    Munge,
    Ngram,
    OneOf,
    Pos,
    Random,
    Recipe,
    Similar,
    Vectors,
    augment_file,
    load_recipe,
    published,
)
from augment.recipe import as_recipe, recipe_from_json
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


def assert_same_after_trips(recipe, folder):
    """The recipe again, from the TOML it writes and from what it writes into a manifest."""
    path = folder / f"{recipe.name}.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(path) == recipe
    stored = {"copies": recipe.copies, **recipe.to_json()}
    if recipe.pair_copies is not None:
        stored["pair_copies"] = recipe.pair_copies
    # As it comes back from a manifest.
    assert recipe_from_json(recipe.name, json.loads(json.dumps(stored)), "manifest") == recipe
    assert load_recipe(path).to_toml() == recipe.to_toml()


def leaves_with(token):
    shares = st.floats(0, 1)
    return st.one_of(
        st.builds(Mask, rate=shares, token=st.just(token)),
        st.builds(Pos, rate=shares, tagger=st.sampled_from(["nltk", "classes", "classes:v.txt", 'spacy:a"b\\c'])),
        st.builds(Ngram, rate=shares, shortest=st.integers(1, 3), longest=st.integers(3, 9)),
        st.builds(Similar, words=st.integers(0, 5)),
        st.builds(Vectors, rate=shares, k=st.integers(1, 99), source=st.text("aé/.", max_size=5), rest=st.booleans()),
        st.builds(Mlm, rate=shares, context=st.sampled_from(["masked", "grouped"])),
    )


FEATURE_LEAVES = st.one_of(
    st.just(Random()),
    st.builds(Munge, p=st.floats(0, 1), s=st.floats(1e-9, 1e9), mode=st.sampled_from(["both", "one_sided"])),
)
#: No characters that TOML or UTF-8 cannot hold, and no entries that protect refuses.
ENTRIES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map(lambda text: f"x{text}"),
    st.sampled_from(
        [":stop-words:", ":non-alphabetic:", "/[0-9]+/", r"/\bfilm\b|\\/", '"quoted"', "'", "a\n b", "#", "\t,"]
    ),
)


def recipes(draw):
    """Recipes of any kind."""
    leaves = draw(st.sampled_from(["[MASK]", "<mask>", "[é]"]).map(leaves_with) | st.just(FEATURE_LEAVES))
    return Recipe(
        draw(st.sampled_from(["mine", "a b", "é"])),
        tuple(draw(st.lists(grown(leaves), min_size=1, max_size=3))),
        draw(st.integers(0, 99)),
        draw(st.sampled_from(PAIRS)),
        draw(st.none() | st.integers(0, 99)),
        tuple(draw(st.lists(ENTRIES, max_size=3))),
    )


@given(st.composite(recipes)())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_recipe_is_the_same_after_trips_through_toml_and_json(tmp_path, recipe):
    assert_same_after_trips(recipe, tmp_path)


@pytest.mark.parametrize("name", published())
def test_a_published_recipe_is_the_same_after_trips_through_toml_and_json(tmp_path, name):
    assert_same_after_trips(load_recipe(name), tmp_path)


def test_groups_are_read_as_they_are_written(tmp_path):
    recipe = load_recipe(
        write(
            tmp_path,
            """
            description = "all there is"
            copies = 3
            pairs = "draw"
            pair_copies = 2
            protect = ["New York", "/[0-9]+/", ":stop-words:"]

            [[step]]
            use = "mask"
            probability = 0.5

            [[step]]
            probability = 0.25
            one_of = [
                {use = "pos", weight = 2, rate = 0.5},
                {in_sequence = [{use = "ngram"}, {use = "mask", rate = 1}]},
                {one_of = [{use = "similar"}], weight = 0.5},
            ]

            [[step]]
            in_sequence = [{use = "similar", words = 2}]
            """,
        )
    )
    assert recipe == Recipe(
        "mine",
        (
            InSequence((Mask(),), 0.5),
            OneOf((Pos(rate=0.5), InSequence((Ngram(), Mask(rate=1.0))), OneOf((Similar(),))), (2.0, 1.0, 0.5), 0.25),
            InSequence((Similar(words=2),)),
        ),
        3,
        "draw",
        2,
        ("New York", "/[0-9]+/", ":stop-words:"),
    )
    assert (recipe.copies_of("pair"), recipe.copies_of("text"), recipe.mask_token) == (2, 3, "[MASK]")
    assert_same_after_trips(recipe, tmp_path)


def test_the_augmenters_of_a_recipe_are_those_inside_its_groups_too():
    recipe = Recipe("mine", (InSequence((OneOf((Ngram(), Mask(token="<m>"))), Similar())), Pos()))
    assert list(recipe.augmenters()) == [Ngram(), Mask(token="<m>"), Similar(), Pos()]
    assert recipe.mask_token == "<m>"
    changed = recipe.adjusted({"mask": {"rate": 0.5}, "similar": {"words": 3}})
    assert changed.steps == (InSequence((OneOf((Ngram(), Mask(rate=0.5, token="<m>"))), Similar(words=3))), Pos())


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
        ("[[step]]\nprobability = 0.5", "step 1: must say which augmenter to use, got {'probability': 0.5}"),
        ('[[step]]\nuse = "mask"\nprobability = 1.5', "in_sequence: probability must be between 0 and 1, got 1.5"),
        ('[[step]]\nuse = "mask"\nprobability = "0.5"', "step 1: probability must be float, got '0.5'"),
        ('[[step]]\nuse = "mask"\nweight = 2', "step 1: parameter: must be one of rate, token, got 'weight'"),
        ('[[step]]\nuse = "one_of"', "step 1: use: must be one of "),
        ('[[step]]\nuse = "mask"\none_of = [{use = "ngram"}]', "step 1: must say which augmenter to use, got "),
        ('[[step]]\none_of = [{use = "mask"}]\nin_sequence = []', "step 1: must say which augmenter to use, got "),
        ("[[step]]\none_of = []", "one_of: must have at least one step, got none"),
        ("[[step]]\nin_sequence = []", "in_sequence: must have at least one step, got none"),
        ("[[step]]\nin_sequence = 3", "step 1: step must be a list of tables ([[step]]), got 3"),
        ('[[step]]\none_of = ["mask"]', "step 1: step 1: must say which augmenter to use, got 'mask'"),
        ('[[step]]\none_of = [{use = "mask"}, {use = "maks"}]', "step 1: step 2: use: must be one of "),
        ('[[step]]\none_of = [{use = "mask", rat = 1}]', "step 1: step 1: parameter: must be one of rate, token, got"),
        ('[[step]]\none_of = [{use = "mask", rate = 2}]', "mask: rate must be between 0 and 1, got 2"),
        ('[[step]]\none_of = [{use = "mask"}]\nprobabilty = 1', "got 'probabilty': did you mean 'probability'?"),
        ('[[step]]\none_of = [{use = "mask"}]\nweights = [1]', "step 1: key: must be one of one_of, probability, got"),
        ('[[step]]\none_of = [{use = "mask", weight = 0}]', "one_of: weights must be 1 numbers above 0, got 0.0"),
        ('[[step]]\none_of = [{use = "mask", weight = -1}]', "one_of: weights must be 1 numbers above 0, got -1.0"),
        ('[[step]]\none_of = [{use = "mask", weight = "a"}]', "step 1: weights must be float, got 'a'"),
        ('[[step]]\none_of = [{use = "mask", weight = true}]', "step 1: weights must be float, got True"),
        ('[[step]]\nin_sequence = [{use = "mask", weight = 1}]', "step 1: step 1: parameter: must be one of rate, tok"),
        ('[[step]]\nuse = "mask"\n[[step]]\nuse = "munge"', "recipe: steps must all edit texts or all features, got"),
        ('[[step]]\none_of = [{use = "mask"}, {use = "random"}]', "recipe: steps must all edit texts or all features"),
        (
            '[[step]]\none_of = [{use = "mask"}, {use = "mask", token = "<m>"}]',
            "recipe mine: mask tokens must be one, got <m>, [MASK]",
        ),
        ('pairs = "frist"\n[[step]]\nuse = "mask"', "recipe mine: pairs: must be one of cycle, "),
        ('pairs = "frist"\n[[step]]\nuse = "mask"', "got 'frist': did you mean 'first'?"),
        ('pairs = ["first"]\n[[step]]\nuse = "mask"', "pairs must be str, got ['first']"),
        ('pair_copies = -1\n[[step]]\nuse = "mask"', "recipe mine: pair_copies must be at least 0, got -1"),
        ('pair_copies = "10"\n[[step]]\nuse = "mask"', "pair_copies must be int or NoneType, got '10'"),
        ('protect = "film"\n[[step]]\nuse = "mask"', "protect must be tuple, got 'film'"),
        ('protect = [3]\n[[step]]\nuse = "mask"', "protect must be str, got 3"),
        ('protect = [" "]\n[[step]]\nuse = "mask"', "recipe mine: protect must list words, phrases, /REGEX/ or :KIND:"),
        ('protect = ["/(/"]\n[[step]]\nuse = "mask"', "recipe mine: protect must hold regular expressions, got /(/: "),
        ('protect = [":stopwords:"]\n[[step]]\nuse = "mask"', "got ':stopwords:': did you mean ':stop-words:'?"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name_and_place(tmp_path, text, message):
    with pytest.raises(StillhouseError) as error:
        load_recipe(write(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("weight", ["nan", "inf"])
def test_a_weight_that_is_no_finite_number_is_refused(tmp_path, weight):
    path = write(tmp_path, f'[[step]]\none_of = [{{use = "mask"}}, {{use = "ngram", weight = {weight}}}]')
    with pytest.raises(StillhouseError, match="weights must be 2 numbers above 0"):
        load_recipe(path)


@pytest.mark.parametrize(("group", "got"), [("3", "3"), ('"mask"', "'mask'"), ('{use = "mask"}', "{'use': 'mask'}")])
@pytest.mark.parametrize(("kind", "name"), [("one_of", "one_of"), ("in_sequence", "step")])
def test_a_group_that_is_no_list_is_refused_as_what_it_is(tmp_path, kind, name, group, got):
    path = write(tmp_path, f'[[step]]\nuse = "mask"\n[[step]]\n{kind} = {group}')
    with pytest.raises(StillhouseError) as error:
        load_recipe(path)
    assert str(error.value).startswith(f"{path}: step 2: {name} must be a list of tables")
    assert str(error.value).endswith(f", got {got}")


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


@pytest.mark.parametrize(
    "text", ["copies = " + "9" * 5000, "x = " + "[" * 5000 + "]" * 5000, 'copies = "\\ud800"', "\0"]
)
def test_a_file_that_only_a_parser_could_choke_on_is_one_line(tmp_path, text):
    with pytest.raises(StillhouseError, match="must be a recipe in TOML"):
        load_recipe(write(tmp_path, text))


def test_a_number_beyond_all_that_computes_is_refused(tmp_path):
    with pytest.raises(StillhouseError, match="copies must be at most 9223372036854775807, got a number of 64 bits"):
        load_recipe(write(tmp_path, f'copies = {2**63}\n[[step]]\nuse = "mask"\n'))
