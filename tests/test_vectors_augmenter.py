"""Words from word vectors: the neighbours are those of a plain ranking, found once, and evenly drawn."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from conftest import MASKED_LMS, WORDS, one_line_error, stillhouse
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.stats import chisquare
from test_augmenters import drafted, drawn
from test_mlm import file_of, parts_in, random_texts, written

from augment import Mask, Mlm, Recipe, Vectors
from augment import augment as augmented
from augment import vectors as module
from augment._candidates import Candidates
from augment.vectors import nearest_rows
from transferset import StillhouseError, Store, Task
from transferset.words import split_words

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = [*WORDS, "Paris", "café", "naïve", "很", "3d", "n't", "Film", "FILM", "new york", "a-b", "u.s.", "10"]


def table_of(names=NAMES, width=7, seed=0):
    return np.random.default_rng(seed).normal(size=(len(names), width)).astype(np.float32)


def glove(path, names=NAMES, table=None):
    table = table_of(names) if table is None else table
    lines = [f"{name} {' '.join(map(repr, row))}" for name, row in zip(names, table.tolist(), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def cosines(table, vector):
    table, vector = table.astype(np.float64), vector.astype(np.float64)
    return table @ vector / (np.linalg.norm(table, axis=1) * np.linalg.norm(vector))


def is_word(name):
    """Whether a name is one word of our own, with a letter or digit in it."""
    return split_words(pa.array([name])).strings.to_pylist() == [name] and any(map(str.isalnum, name))


def ranked(names, table, word, vector, k):
    """The k words nearest to a word, by the letter: in float64, one for each word whatever its case, not the word."""
    found = []
    for place in np.argsort(-cosines(table, vector)).tolist():
        name = names[place]
        first = [other.lower() for other in names].index(name.lower()) == place
        if first and is_word(name) and name.lower() != word.lower():
            found.append(name)
    return found[:k]


def offered(step, texts, copies=400):
    """What each word of the texts is replaced by."""
    found = {}
    for row in drawn([step], texts, copies):
        for edit in row["edits"]:
            found.setdefault(edit["old"], set()).add(edit["new"])
    return found


# Neighbours among rows.


@pytest.mark.parametrize("k", [1, 4, 49, 50, 80])
def test_the_nearest_rows_are_those_of_a_plain_ranking(k):
    some = np.random.default_rng(0)
    table, queries = (some.normal(size=(count, 6)).astype(np.float32) for count in (50, 30))
    own = some.integers(-1, 50, 30)
    queries[own >= 0] = table[own[own >= 0]]
    found = nearest_rows(queries, table, own, k)
    assert found.shape == (30, k)
    for query, place, rows in zip(queries, own.tolist(), found.tolist(), strict=True):
        order = [row for row in np.argsort(-cosines(table, query)).tolist() if row != place]
        assert rows == [*order, *[-1] * k][:k]


@pytest.mark.parametrize("chunk", [1, 3, 29, 30, 31])
def test_how_queries_are_cut_into_chunks_does_not_matter(chunk, monkeypatch):
    some = np.random.default_rng(1)
    table, queries, own = some.normal(size=(40, 5)), some.normal(size=(30, 5)), some.integers(-1, 40, 30)
    whole = nearest_rows(queries.astype(np.float32), table.astype(np.float32), own, 5)
    monkeypatch.setattr(module, "_CHUNK", chunk)
    assert (nearest_rows(queries.astype(np.float32), table.astype(np.float32), own, 5) == whole).all()


def test_length_does_not_matter_and_direction_does():
    table = np.array([[1, 0], [100, 1], [-1, 0], [0, 0.001]], np.float32)
    queries = np.array([[1e-3, 0], [1e3, 0], [0.1, -5]], np.float32)
    assert nearest_rows(queries, table, np.full(3, -1), 4).tolist() == [[0, 1, 3, 2], [0, 1, 3, 2], [0, 1, 2, 3]]


def test_no_queries_and_no_neighbours():
    table = table_of(["a", "b"])
    assert nearest_rows(table[:0], table, np.zeros(0, np.int64), 3).shape == (0, 3)
    assert nearest_rows(table[:1], table[:1], np.array([0]), 2).tolist() == [[-1, -1]]


@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_a_row_is_never_its_own_neighbour_nor_twice_anothers(rows, k, seed):
    table = np.random.default_rng(seed).integers(-1, 2, (rows, 2)).astype(np.float32)  # full of ties and zeros
    for row, found in enumerate(nearest_rows(table, table, np.arange(rows), k).tolist()):
        there = [each for each in found if each >= 0]
        assert row not in there
        assert len(there) == len(set(there)) == min(k, rows - 1)


# Vectors from a file.


@pytest.fixture(params=["glove", "word2vec-text", "word2vec-bytes"])
def source(request, tmp_path):
    if request.param == "glove":
        return glove(tmp_path / "glove.txt")
    names = [name for name in NAMES if " " not in name]
    made = KeyedVectors(vector_size=7)
    made.add_vectors(names, table_of()[[NAMES.index(name) for name in names]])
    binary = request.param.endswith("bytes")
    path = tmp_path / ("vectors.bin" if binary else "vectors.vec")
    made.save_word2vec_format(str(path), binary=binary)
    return str(path)


def test_neighbours_are_those_of_a_plain_ranking(source):
    table = table_of()
    found = offered(Vectors(rate=1.0, k=5, source=source), ["film café 很 acting , nowhere 3d !", "10 naïve"])
    assert set(found) == {"film", "café", "很", "acting", "3d", "10", "naïve"}
    for word, words in found.items():
        assert words == set(ranked(NAMES, table, word, table[NAMES.index(word)], 5))


def test_the_word_itself_is_no_neighbour_whatever_its_case(source):
    found = offered(Vectors(rate=1.0, k=1000, source=source), ["film FILM Film"], copies=2000)
    assert set(found) == {"film", "FILM", "Film"}
    others = {name.lower() for name in NAMES if is_word(name)} - {"film"}
    for words in found.values():
        assert {word.lower() for word in words} == others
    # Of a word in several cases the first one in the file stands for all.
    assert {"film", "Film", "FILM"} & offered(Vectors(rate=1.0, k=1000, source=source), ["good"], 2000)["good"] == {
        "film"
    }


def test_case_is_carried_over(source):
    found = offered(Vectors(rate=1.0, k=2, source=source), ["good Good GOOD"])
    assert {word.lower() for word in found["Good"]} == {word.lower() for word in found["good"]}
    assert all(word[0].isupper() for word in found["Good"] if word[0].isalpha())
    assert all(word == word.upper() for word in found["GOOD"])
    assert found["good"] == set(ranked(NAMES, table_of(), "good", table_of()[NAMES.index("good")], 2))


def test_a_word_is_found_in_the_case_in_which_it_stands(source):
    table = table_of()
    found = offered(Vectors(rate=1.0, k=3, source=source), ["Paris film FILM Good paris PARIS"])
    assert set(found) == {"Paris", "film", "FILM", "Good"}
    for word, name in (("Paris", "Paris"), ("film", "film"), ("FILM", "FILM"), ("Good", "good")):
        near = ranked(NAMES, table, word, table[NAMES.index(name)], 3)
        assert {each.lower() for each in found[word]} == {each.lower() for each in near}
    assert {each.lower() for each in found["film"]} != {each.lower() for each in found["FILM"]}


def test_what_is_no_single_word_stands_in_for_none(tmp_path):
    names = ["film", "u.s.", "<unk>", "</s>", "don't", "new york", "...", "[MASK]", "plot."]
    source = glove(tmp_path / "glove.txt", [*names, "movie"])
    assert offered(Vectors(rate=1.0, source=source), ["film"]) == {"film": {"movie"}}


def test_vectors_of_zeros_take_no_part(tmp_path):
    names = ["film", "movie", "zero", "plot"]
    source = glove(tmp_path / "glove.txt", names, np.array([[1, 0], [-1, 0.5], [0, 0], [-1, -1]], np.float32))
    found = offered(Vectors(rate=1.0, source=source), ["film zero movie"])
    assert found == {"film": {"movie", "plot"}, "movie": {"film", "plot"}}


@pytest.mark.parametrize("token", ["[MASK]", "<mask>", "<film>"])
def test_a_mask_token_is_one_word_and_is_left_alone(token, tmp_path):
    source = glove(tmp_path / "glove.txt", ["film", "mask", "MASK", "movie", token, "plot"])
    steps = [*([Mask(rate=0.0, token=token)] if token == "<film>" else []), Vectors(rate=0.8, source=source)]
    made = drawn(steps, [f"film {token} mask"], copies=40)
    assert {edit["old"] for row in made for edit in row["edits"]} == {"film", "mask"}
    assert {edit["new"] for row in made for edit in row["edits"]} <= {"film", "mask", "movie", "plot"}
    assert all(f" {token} " in row["text"] for row in made)


def test_words_without_a_vector_and_signs_are_left_alone(source):
    step = Vectors(rate=1.0, source=source)
    assert drawn([step], ["nowhere", "! , ...", "שלום", "", " "], copies=5) == []
    made = drawn([step], ["nowhere ,  film !"], copies=20)
    assert all(row["text"].startswith("nowhere ,  ") and row["text"].endswith(" !") for row in made)


def test_only_the_first_words_of_a_file_stand_in_for_others_and_all_may_be_replaced(tmp_path):
    source, table = glove(tmp_path / "glove.txt"), table_of()
    found = offered(Vectors(rate=1.0, k=3, source=source, most_words=10), ["story film"])
    assert NAMES.index("story") > 10
    for word in ("story", "film"):
        assert found[word] == set(ranked(NAMES[:10], table[:10], word, table[NAMES.index(word)], 3))


def test_a_file_of_one_word_offers_nothing_in_its_place(tmp_path):
    source = glove(tmp_path / "glove.txt", ["film"])
    assert drawn([Vectors(rate=1.0, source=source)], ["film"], copies=5) == []


def test_fewer_neighbours_than_k_are_all_there_are(tmp_path):
    source = glove(tmp_path / "glove.txt", ["film", "movie", "plot", "."])
    found = offered(Vectors(rate=1.0, k=15, source=source), ["film movie"])
    assert found == {"film": {"movie", "plot"}, "movie": {"film", "plot"}}


# Vectors from a model.


@pytest.mark.parametrize("kind", MASKED_LMS)
def test_neighbours_in_a_model_are_those_of_a_plain_ranking(kind, masked_lms):
    from test_masked_lm import plain_script

    script, stored = plain_script(masked_lms[kind]), load_file(masked_lms[kind] / "model.safetensors")
    (table,) = (values for name, values in stored.items() if name.endswith("embeddings.word_embeddings.weight"))
    ids = sorted(script.words)
    # Of a word in several cases the first piece stands for all.
    names = [script.words[id_] for id_ in ids]
    before = len(script.tokenizer("film", add_special_tokens=False)["input_ids"])
    text = "film good storyplots filming acting slowest"
    found = offered(Vectors(rate=1.0, k=4, source=str(masked_lms[kind])), [text])
    assert set(found) == set(text.split())
    several = 0
    for word, words in found.items():
        pieces = script.tokenizer(f"film {word}", add_special_tokens=False)["input_ids"][before:]
        several += len(pieces) > 1
        assert words == set(ranked(names, table[ids], word, table[pieces].mean(0), 4))
    assert several >= 2


def test_neighbours_in_a_trained_model_are_those_of_a_plain_ranking(shared):
    from test_masked_lm import plain_script

    folder = shared / "models" / "minilm-l6-mlm"
    script, stored = plain_script(folder), load_file(folder / "model.safetensors")
    table = stored["bert.embeddings.word_embeddings.weight"]
    found = offered(Vectors(rate=1.0, source=str(folder)), ["lugubrious movies"])
    ids = np.array(sorted(script.words))
    for word, words in found.items():
        pieces = script.tokenizer(word, add_special_tokens=False)["input_ids"]
        order = ids[np.argsort(-cosines(table[ids], table[pieces].mean(0)))].tolist()
        assert words == set([script.words[id_] for id_ in order if script.words[id_] != word][:15])
    assert {"films", "movie"} <= found["movies"]


def test_words_that_the_vocabulary_lacks_have_no_neighbours(masked_lms):
    # All that the model knows of them is that it does not know them.
    found = offered(Vectors(rate=1.0, source=str(masked_lms["bert"])), ["film 好 שלום"])
    assert set(found) == {"film"}


# How often, how evenly, and beside others.


def test_the_share_of_words_replaced_is_the_rate(tmp_path):
    source, texts = glove(tmp_path / "glove.txt"), random_texts(120, [*WORDS, "nowhere"])
    draft = drafted(texts, [Vectors(rate=0.4, source=source)], copies=20)
    eligible = sum(word in WORDS and word.isalpha() for text in texts for word in text.split()) * 20
    assert eligible > 10_000
    assert abs(len(draft.edits[0].places) / eligible - 0.4) < 3 * np.sqrt(0.24 / eligible)


def test_all_neighbours_are_equally_likely(tmp_path):
    made = drawn([Vectors(rate=1.0, k=15, source=glove(tmp_path / "glove.txt"))], ["film good"], copies=15_000)
    for old in ("film", "good"):
        counts = Counter(edit["new"] for row in made for edit in row["edits"] if edit["old"] == old)
        assert len(counts) == 15
        # One fixed seed: a p-value this low is a fault, not chance.
        assert chisquare(list(counts.values())).pvalue > 1e-3


def test_the_rest_are_the_words_that_earlier_steps_offered_nothing_for(tiny_masked_lm, tmp_path):
    texts = random_texts(30, ["film", "films", "good", "plots", "the"])
    first = Mlm(rate=0.3, model=str(tiny_masked_lm))
    rest, every = (Vectors(rate=0.3, source=str(tiny_masked_lm), rest=rest) for rest in (True, False))

    def olds(steps, rule="vectors"):
        return {edit["old"] for row in drawn(steps, texts, 10) for edit in row["edits"] if edit["rule"] == rule}

    assert olds([first, rest]) == {"films", "plots"}
    assert olds([first, rest], "mlm") == {"film", "good", "the"}
    assert olds([first, every]) == {"film", "films", "good", "plots", "the"}
    assert olds([rest]) == olds([rest, first]) == olds([every])
    # What one file of vectors lacks is left for the next.
    one, two = glove(tmp_path / "one.txt", ["film", "plot"]), glove(tmp_path / "two.txt", ["film", "good", "plot"])
    steps = [Vectors(rate=0.4, source=one), Vectors(rate=0.4, source=two, rest=True)]
    found = {(edit["old"], edit["new"]) for row in drawn(steps, texts, 10) for edit in row["edits"]}
    assert found == {("film", "plot"), ("good", "film"), ("good", "plot")}


def test_protected_words_are_not_looked_up(tmp_path, monkeypatch):
    asked = looked_up(monkeypatch)
    recipe = Recipe("test", (Vectors(source=glove(tmp_path / "glove.txt")),), 3, protect=("film", ":stop-words:"))
    augmented(["the film was good", "so Dull"], recipe)
    assert asked == ["Dull", "good"]


# What is kept.


def looked_up(monkeypatch):
    """The words whose neighbours are looked up, as they are."""
    words, neighbours = [], Vectors._neighbours

    def listened(self, some, progress):
        words.extend(some)
        return neighbours(self, some, progress)

    monkeypatch.setattr(Vectors, "_neighbours", listened)
    return words


def test_a_word_is_looked_up_once_in_each_of_its_cases_however_often_it_comes(tmp_path, monkeypatch):
    asked = looked_up(monkeypatch)
    step = Vectors(source=glove(tmp_path / "glove.txt"))
    augmented(["Film film , FILM", "the film nowhere"], [step], copies=3)
    assert asked == ["FILM", "Film", "film", "nowhere", "the"]


@pytest.mark.parametrize("other", [{"seed": 4}, {"copies": 9}, {"rate": 0.9}])
def test_a_second_run_looks_nothing_up_and_makes_what_a_fresh_one_would(other, tmp_path, monkeypatch):
    source = glove(tmp_path / "glove.txt")

    def run(rate=0.4, copies=4, seed=0, **how):
        return augmented(["the film was good", "nowhere"], [Vectors(rate, source=source)], copies, seed, **how)

    fresh = run(**other)
    run(candidates=tmp_path / "kept")
    asked = looked_up(monkeypatch)
    assert run(candidates=tmp_path / "kept", **other).equals(fresh)
    assert asked == []


def test_only_new_words_are_looked_up(tmp_path, monkeypatch):
    step = Vectors(rate=1.0, k=3, source=glove(tmp_path / "glove.txt"))
    augmented(["the film"], [step], copies=2, candidates=tmp_path / "kept")
    asked = looked_up(monkeypatch)
    made = augmented(["a film , the plot"], [step], copies=50, candidates=tmp_path / "kept")
    assert asked == ["a", "plot"]
    assert made.equals(augmented(["a film , the plot"], [step], copies=50))


@pytest.mark.parametrize("change", ["k", "most_words", "file"])
def test_what_another_file_or_setting_offers_is_kept_apart(change, tmp_path, monkeypatch):
    source, kept = glove(tmp_path / "glove.txt"), tmp_path / "kept"
    augmented(["film"], [Vectors(source=source)], copies=2, candidates=kept)
    if change == "file":
        glove(tmp_path / "glove.txt", table=table_of(seed=1))
    asked = looked_up(monkeypatch)
    augmented(["film"], [Vectors(source=source, **({} if change == "file" else {change: 9}))], 2, candidates=kept)
    assert asked == ["film"]
    assert len(list(kept.iterdir())) == 2


def test_a_digit_in_the_middle_of_a_large_file_makes_another_file(tmp_path):
    path = tmp_path / "glove.txt"
    lines = [f"w{number} 1 {number / 7:.9f}" for number in range(100_000)]
    path.write_text("\n".join(lines) + "\n")
    size, mark = path.stat().st_size, module._source_mark(str(path))
    assert size > 2_000_000
    lines[50_000] = lines[50_000].replace(" 1 ", " 2 ")
    path.write_text("\n".join(lines) + "\n")
    assert path.stat().st_size == size
    assert module._source_mark(str(path)) != mark


def test_a_file_in_another_place_is_the_same_file(tmp_path, monkeypatch):
    augmented(["film"], [Vectors(source=glove(tmp_path / "glove.txt"))], copies=2, candidates=tmp_path / "kept")
    asked = looked_up(monkeypatch)
    augmented(["film"], [Vectors(source=glove(tmp_path / "moved.txt"))], copies=2, candidates=tmp_path / "kept")
    assert asked == []


def test_a_run_killed_while_it_looks_up_is_continued(tmp_path, monkeypatch):
    texts, steps = random_texts(20), [Vectors(source=glove(tmp_path / "glove.txt"))]
    written(texts, tmp_path, "clean", steps, copies=3)
    for where in ("add", "_index"):
        with monkeypatch.context() as patched:
            patched.setattr(Candidates, where, lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                written(texts, tmp_path, "out", steps, copies=3)
    written(texts, tmp_path, "out", steps, copies=3)
    assert parts_in(tmp_path / "out") == parts_in(tmp_path / "clean")
    (kept,) = (tmp_path / "out" / "_candidates").iterdir()
    assert Store.open(kept).verify() == []


# What is wrong.


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": -0.1}, "vectors: rate must be between 0 and 1, got -0.1"),
        ({"rate": None}, "vectors: rate must be between 0 and 1, got None"),
        ({"k": 0}, "vectors: k must be at least 1, got 0"),
        ({"k": 2.5}, "vectors: k must be a whole number, got 2.5"),
        ({"most_words": 1e5}, "vectors: most_words must be a whole number, got 100000.0"),
        ({"most_words": 1}, "vectors: most_words must be at least 2, got 1"),
    ],
)
def test_bad_parameters_are_named(given, message):
    with pytest.raises(StillhouseError) as error:
        Vectors(**given)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["nowhere.txt", "nowhere.vec", "nowhere.bin", "nowhere"])
def test_a_source_that_is_not_there_is_one_line_and_leaves_nothing(name, tmp_path):
    with pytest.raises(StillhouseError) as error:
        written(["film"], tmp_path, "out", [Vectors(source=str(tmp_path / name))], copies=2)
    what = "the directory of a Hugging Face model" if name == "nowhere" else "a GloVe or word2vec file"
    assert str(error.value) == f"{tmp_path / name}: must be {what}, got nothing there"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x.txt", "x.bin", "x"])
@pytest.mark.parametrize("data", [b"", b"\n", b"hello world how\nare you today\n", b"\x80\x02}q\x00."])
def test_a_file_that_holds_no_vectors_is_one_line(name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(StillhouseError) as error:
        written(["film"], tmp_path, "out", [Vectors(source=str(tmp_path / name))], copies=2)
    assert str(error.value).startswith(f"{tmp_path / name}: must be a GloVe or word2vec file")
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_features_are_refused(tmp_path):
    table = pa.table({"x": [1, 2]})
    with pytest.raises(StillhouseError, match="must be given texts, got a task of kind 'features'"):
        augmented(table, [Vectors(source=glove(tmp_path / "glove.txt"))], copies=1, task=Task("features", ("x",)))


def test_the_command_line_names_a_file_that_is_not_there(tmp_path):
    source = file_of(["film"], tmp_path)
    options = ("--text", "text", "--recipe", "tinybert", "--vectors-source", "glove.6B.300d.txt", "--mlm-model", "./no")
    done = stillhouse("augment", source.path, *options, "--out", tmp_path / "out", HF_HUB_OFFLINE="1", cwd=tmp_path)
    assert one_line_error(done).startswith("stillhouse: ./no: must be the directory of a Hugging Face model")
    assert not (tmp_path / "out").exists()
