"""The word vectors a student starts from: the teacher's pieces averaged and turned, a file's, or random ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from students import Reading
from students._subwords import Subwords
from students._tokens import PAD
from students._vectors import SCALE, known_vectors, starting_table, teacher_tokenizer, teacher_words
from students._words import SPECIAL, UNKNOWN, Vocabulary
from transferset import StillhouseError

FIRST = len(SPECIAL)
PIECES = ["[UNK]", "un", "##good", "film", "good", "bad", "##s", "dull"]
WORDS = Vocabulary(("film", "films", "ungood", "good", "bad", "dull"), "[MASK]")
#: The places in PIECES of what each word is made of.
MADE_OF = [[3], [3, 6], [1, 2], [4], [5], [7]]


@pytest.fixture
def teacher(tmp_path):
    """A folder as the labeller leaves it, and its table of embeddings of width 6."""
    table = np.random.default_rng(0).normal(2, 1, (len(PIECES), 6)).astype(np.float16)
    return kept(tmp_path / "_teacher", table), table.astype(np.float32)


def kept(folder, table):
    folder.mkdir()
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # What a tokenizer was last used with is stored with it, and must not cut or lengthen words here.
    tokenizer.enable_truncation(1)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"embeddings": table}, folder / "embeddings.safetensors")
    return folder


def starting_vectors(spec, encoding, width, seed, folder):
    """The table of a student that reads so."""
    return starting_table(len(encoding), *known_vectors(spec, encoding, folder), width, seed)


def word_means(table):
    return np.stack([table[pieces].mean(0) for pieces in MADE_OF])


def shares(matrix):
    """A matrix of dot products, scaled so that two that differ by one factor are equal."""
    return matrix / np.abs(matrix).max()


def test_a_word_of_several_pieces_gets_their_mean(teacher):
    folder, table = teacher
    found = starting_vectors("teacher", WORDS, 6, 0, folder)[FIRST:]
    centred = word_means(table) - word_means(table).mean(0)
    # At the full width nothing need be turned or lost: only the scale is another.
    np.testing.assert_allclose(shares(found @ found.T), shares(centred @ centred.T), atol=1e-5)


def test_cut_to_their_rank_vectors_keep_their_centred_dot_products(tmp_path):
    random = np.random.default_rng(1)
    table = (random.normal(size=(len(PIECES), 2)) @ random.normal(size=(2, 6)) + 5).astype(np.float16)
    found = starting_vectors("teacher", WORDS, 2, 0, kept(tmp_path / "_teacher", table))[FIRST:]
    centred = word_means(table.astype(np.float32))
    centred -= centred.mean(0)
    assert found.shape == (6, 2)
    np.testing.assert_allclose(shares(found @ found.T), shares(centred @ centred.T), atol=5e-3)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_of_a_narrower_student_the_widest_directions_are_kept(tmp_path_factory, width, seed):
    table = np.random.default_rng(seed).normal(size=(len(PIECES), 6)).astype(np.float16)
    folder = kept(tmp_path_factory.mktemp("kept") / "_teacher", table)
    found = starting_vectors("teacher", WORDS, width, 0, folder)[FIRST:].astype(np.float64)
    centred = word_means(table.astype(np.float64))
    centred -= centred.mean(0)
    left, sizes, _ = np.linalg.svd(centred)
    best = (left[:, :width] * sizes[:width]) @ (left[:, :width] * sizes[:width]).T
    np.testing.assert_allclose(shares(found @ found.T), shares(best), atol=1e-3)


@pytest.mark.parametrize("spec", ["teacher", "random"])
def test_padding_is_zero_and_the_spread_is_as_stated(teacher, spec):
    words = Vocabulary(tuple(f"film{n}" for n in range(500))) if spec == "random" else WORDS
    found = starting_vectors(spec, words, 4, 0, teacher[0])
    assert found.dtype == np.float32
    assert found.shape == (len(words), 4)
    assert not found[PAD].any()
    # Of 2000 normal draws the deviation lies within 8 % of the true one, five standard errors; the teacher's is exact.
    assert found[FIRST:].std() == pytest.approx(SCALE, rel=0.08 if spec == "random" else 1e-4)


def test_random_vectors_depend_on_the_seed_alone(tmp_path):
    one, same, other = (starting_vectors("random", WORDS, 4, seed, tmp_path) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_words_vector_does_not_depend_on_the_other_words_place(teacher):
    folder, _ = teacher
    turned = Vocabulary(WORDS.words[::-1], "[MASK]")
    one, other = (starting_vectors("teacher", words, 6, 0, folder)[FIRST:] for words in (WORDS, turned))
    np.testing.assert_allclose(one @ one.T, (other @ other.T)[::-1, ::-1], atol=1e-6)


def test_a_vocabulary_without_words_has_vectors(teacher):
    assert starting_vectors("teacher", Vocabulary(()), 4, 0, teacher[0]).shape == (FIRST, 4)


def test_a_word_the_teacher_cannot_read_has_its_unknown_vector(teacher):
    found = starting_vectors("teacher", Vocabulary(("film", "zzz", "qqq", "bad")), 4, 0, teacher[0])
    np.testing.assert_array_equal(found[FIRST + 1], found[FIRST + 2])
    assert (found[FIRST] != found[FIRST + 1]).any()


def glove(path, header=""):
    rows = {"film": [1, 2, 3], "good": [2, -1, 0], "bad": [-2, 1, 0.5], "dull": [0, 1, -3]}
    path.write_text(header + "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows.items()))
    return rows


@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_a_files_vectors_are_taken_for_its_words_and_random_ones_for_the_rest(tmp_path, header):
    rows = glove(tmp_path / "vectors.txt", header)
    found = starting_vectors(str(tmp_path / "vectors.txt"), WORDS, 3, 0, tmp_path)
    known = [FIRST + WORDS.words.index(word) for word in rows]
    centred = np.array(list(rows.values())) - np.mean(list(rows.values()), 0)
    np.testing.assert_allclose(shares(found[known] @ found[known].T), shares(centred @ centred.T), atol=1e-5)
    rest = [FIRST + WORDS.words.index(word) for word in ("films", "ungood")]
    np.testing.assert_array_equal(found[rest], starting_vectors("random", WORDS, 3, 0, tmp_path)[rest])


def test_a_file_that_has_none_of_the_words_is_refused(tmp_path):
    glove(tmp_path / "vectors.txt")
    says = r"vectors\.txt: must have vectors of words of the transfer set, got none of 2, not even of 'alpha': give"
    with pytest.raises(StillhouseError, match=says):
        starting_vectors(str(tmp_path / "vectors.txt"), Vocabulary(("alpha", "beta")), 3, 0, tmp_path)
    # Of no words there are none to be found.
    assert starting_vectors(str(tmp_path / "vectors.txt"), Vocabulary(()), 3, 0, tmp_path).shape == (FIRST, 3)


def test_a_single_known_word_has_a_finite_vector(tmp_path):
    glove(tmp_path / "vectors.txt")
    found = starting_vectors(str(tmp_path / "vectors.txt"), Vocabulary(("film", "beta")), 3, 0, tmp_path)
    assert np.isfinite(found).all()
    assert np.isfinite(found[UNKNOWN]).all()


def test_vectors_narrower_than_the_students_are_filled_with_zeros(tmp_path, teacher):
    glove(tmp_path / "vectors.txt")
    known = Vocabulary(("film", "good"))
    for spec, wide in ((str(tmp_path / "vectors.txt"), 3), ("teacher", 6)):
        found = starting_vectors(spec, known, 8, 0, teacher[0])[len(SPECIAL) :]
        kept = np.abs(found).sum(1) > 0
        assert (found[kept][:, wide:] == 0).any(0).all()
        assert np.abs(found[:, :wide]).sum() > 0


def test_a_missing_file_of_vectors_is_refused(tmp_path):
    with pytest.raises(StillhouseError, match=r"none\.txt: must be a GloVe or word2vec file, got nothing there"):
        starting_vectors(str(tmp_path / "none.txt"), WORDS, 3, 0, tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "vectors.txt").write_text("this is a text\nand not vectors\n")
    with pytest.raises(StillhouseError, match=r"vectors\.txt: must be a GloVe or word2vec file"):
        starting_vectors(str(tmp_path / "vectors.txt"), WORDS, 3, 0, tmp_path)


def test_a_cache_without_the_teachers_embeddings_is_refused(tmp_path):
    with pytest.raises(StillhouseError, match="must hold the teacher's embeddings, got none: run `stillhouse label`"):
        starting_vectors("teacher", WORDS, 3, 0, tmp_path)


@pytest.mark.parametrize("file", ["embeddings.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["garbage", "missing"])
def test_a_damaged_teacher_folder_is_refused_in_one_line(teacher, file, damage):
    folder, _ = teacher
    if damage == "garbage":
        (folder / file).write_bytes(b"garbage" * 9)
    else:
        (folder / file).unlink()
    with pytest.raises(StillhouseError, match=str(folder)) as refused:
        starting_vectors("teacher", WORDS, 3, 0, folder)
    assert "\n" not in str(refused.value)


def test_the_global_generator_is_not_touched(tmp_path):
    before = str(np.random.get_state())  # noqa: NPY002 - the global one is the point
    starting_vectors("random", WORDS, 4, 0, tmp_path)
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_unknown_words_start_at_the_mean_of_the_known(teacher):
    found = starting_vectors("teacher", WORDS, 4, 0, teacher[0])
    np.testing.assert_allclose(found[UNKNOWN], found[FIRST:].mean(0), atol=1e-6)


def test_each_piece_has_the_teachers_vector(teacher):
    folder, table = teacher
    pieces = Subwords(teacher_tokenizer(folder))
    found = starting_vectors("teacher", pieces, 6, 0, folder)
    assert found.shape == (1 + len(PIECES), 6)
    assert not found[PAD].any()
    centred = table - table.mean(0)
    np.testing.assert_allclose(shares(found[1:] @ found[1:].T), shares(centred @ centred.T), atol=1e-5)
    assert starting_vectors("random", pieces, 6, 0, folder)[1:].std() == pytest.approx(SCALE, rel=0.3)


@pytest.mark.parametrize("rows", [len(PIECES) - 2, len(PIECES) + 5])
def test_pieces_beyond_the_teachers_table_are_random_and_rows_beyond_the_pieces_unused(tmp_path, rows):
    table = np.random.default_rng(0).normal(2, 1, (rows, 6)).astype(np.float16)
    folder = kept(tmp_path / "_teacher", table)
    pieces = Subwords(teacher_tokenizer(folder))
    numbers, vectors = known_vectors("teacher", pieces, folder)
    assert numbers.tolist() == list(range(1, 1 + min(rows, len(PIECES))))
    np.testing.assert_array_equal(vectors, table[: len(PIECES)].astype(np.float32))
    assert np.abs(starting_table(len(pieces), numbers, vectors, 4, 0)[1:]).sum(1).all()


def test_a_file_has_no_vectors_of_pieces():
    with pytest.raises(StillhouseError, match=r"vectors of pieces must be teacher or random, got 'vectors\.txt'"):
        Reading(tokens="pieces", vectors="vectors.txt")


def test_the_teachers_words_are_its_whole_pieces_of_letters_in_its_order(teacher):
    assert teacher_words(teacher[0], True) == ["un", "film", "good", "bad", "dull"]
