"""Word vectors from the files that people have: GloVe, word2vec as text, word2vec as bytes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from gensim.models import KeyedVectors

from transferset import StillhouseError
from transferset.vectors import first_vectors, read_vectors

VECTORS = {"the": [0.5, -1.0, 2.0], "café": [1.5, 0.25, -8.0], "Paris": [1.0, 2.0, 3.0]}
LINES = [f"{word} {' '.join(map(str, vector))}" for word, vector in VECTORS.items()]


def keyed():
    made = KeyedVectors(vector_size=3)
    made.add_vectors(list(VECTORS), np.array(list(VECTORS.values()), np.float32))
    return made


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path, *reads):
    for read in reads or (lambda: read_vectors(path, ["the"]), lambda: first_vectors(path, 100)):
        with pytest.raises(StillhouseError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}: must be a GloVe or word2vec file")
        assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(params=["glove", "glove-crlf", "word2vec-text", "word2vec-bytes"])
def path(request, tmp_path):
    if request.param.startswith("glove"):
        end = "\r\n" if request.param.endswith("crlf") else "\n"
        return write(tmp_path / "glove.txt", end.join([*LINES, ""]))
    binary = request.param.endswith("bytes")
    path = tmp_path / ("vectors.bin" if binary else "vectors.vec")
    keyed().save_word2vec_format(str(path), binary=binary)
    return path


def test_the_vectors_of_the_words_asked_for_come_with_their_places(path):
    places, vectors = read_vectors(path, ["nowhere", "café", "the", "missing", "Paris"])
    assert places.tolist() == [1, 2, 4]
    assert places.dtype == np.int64
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [VECTORS["café"], VECTORS["the"], VECTORS["Paris"]]


def test_a_word_in_capitals_takes_the_vector_of_its_lower_case(path):
    places, vectors = read_vectors(path, ["The", "CAFÉ", "Paris", "paris", "PARIS"])
    # The file has Paris only with a capital, and nothing is raised to one.
    assert places.tolist() == [0, 1, 2]
    assert vectors.tolist() == [VECTORS["the"], VECTORS["café"], VECTORS["Paris"]]


def test_a_word_in_both_cases_takes_its_own_vector(tmp_path):
    path = write(tmp_path / "glove.txt", "us 1 2\nUS 3 4\n")
    places, vectors = read_vectors(path, ["US", "us", "Us"])
    assert places.tolist() == [0, 1, 2]
    assert vectors.tolist() == [[3, 4], [1, 2], [1, 2]]


def test_words_of_which_none_is_known_have_no_vectors(path):
    for words in (["nowhere"], []):
        places, vectors = read_vectors(path, words)
        assert places.shape == (0,)
        assert vectors.shape == (0, 3)


def test_a_path_may_be_text(path):
    assert read_vectors(str(path), ["the"])[1].tolist() == [VECTORS["the"]]


def test_a_word_that_stands_twice_among_those_asked_for_is_found_twice(path):
    assert read_vectors(path, ["the", "the"])[0].tolist() == [0, 1]


def test_words_with_a_blank_in_them_are_read_through(tmp_path):
    # The GloVe file of 840 billion tokens has some such lines.
    path = write(tmp_path / "glove.txt", "the 0.5 1.0\n. . . 3.0 4.0\nat name@domain.com 5.0 6.0\ncat 7.0 8.0\n")
    places, vectors = read_vectors(path, ["the", "cat"])
    assert places.tolist() == [0, 1]
    assert vectors.tolist() == [[0.5, 1.0], [7.0, 8.0]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "hello world how\nare you today\n",
        "<html>\n<body>\n",
        "a,0.5,1.0\nb,1.0,2.0\n",
        "5 2\nthe 1 2\n",
        "-1 2\nthe 1 2\n",
        "2 2\nthe 1 2 3\ncat 1 2 3\n",
        "the 1 2 3\ncat 1 2\n",
        b"the 1 2\ncaf\xe9 1 2\n",
        b"\x80\x02}q\x00.\n",
    ],
    ids=ascii,
)
def test_what_is_no_text_file_of_vectors_is_an_error(tmp_path, text):
    path = write(tmp_path / "x.txt", text)
    refused(path)


@pytest.mark.parametrize("promised", [0, 1, 3])
def test_a_file_of_other_than_the_words_it_promises_is_refused(tmp_path, promised):
    path = write(tmp_path / "x.txt", f"{promised} 2\nthe 1 2\ncat 3 4\n")
    refused(path)
    with pytest.raises(StillhouseError, match=f"promises {promised} words, got 2$"):
        first_vectors(path, 3)


def test_of_a_file_cut_short_the_first_words_are_read_where_they_are_all_there(tmp_path):
    path = write(tmp_path / "x.txt", "5 2\nthe 1 2\ncat 3 4\n")
    assert first_vectors(path, 2)[0] == ["the", "cat"]


def test_a_line_cut_off_after_its_first_number_is_an_error(tmp_path):
    refused(write(tmp_path / "x.txt", "the 1 2 3\ncat 1\n"))


def test_a_header_that_promises_more_than_memory_is_an_error(tmp_path):
    refused(write(tmp_path / "x.txt", f"{10**13} 300\nthe 1 2\n"))


@pytest.mark.parametrize("data", [b"", b"junk", b"3 4\nabc \x00\x00", b"1 4\n" + b"x" * 99, b"a b\n"], ids=ascii)
def test_what_is_no_binary_file_of_vectors_is_an_error(tmp_path, data):
    refused(write(tmp_path / "x.bin", data))


def test_a_binary_file_cut_off_is_an_error(tmp_path):
    keyed().save_word2vec_format(str(tmp_path / "x.bin"), binary=True)
    refused(write(tmp_path / "x.bin", (tmp_path / "x.bin").read_bytes()[:-5]))


def test_a_missing_file_and_a_directory_are_errors(tmp_path):
    refused(tmp_path / "nowhere.txt")
    refused(tmp_path)


def test_without_gensim_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    path = write(tmp_path / "x.bin", b"1 1\nthe \x00\x00\x00\x00")
    for read in (lambda: read_vectors(path, ["the"]), lambda: first_vectors(path, 1)):
        with pytest.raises(StillhouseError, match=r"pip install 'stillhouse\[vectors\]'"):
            read()


# The first words of a file.


@pytest.mark.parametrize("most", [1, 2, 3, 4, 1000])
def test_the_first_words_of_a_file_come_in_its_order(path, most):
    words, vectors = first_vectors(path, most)
    assert words == list(VECTORS)[:most]
    assert vectors.dtype == np.float32
    assert vectors.tolist() == list(VECTORS.values())[:most]


def test_the_first_words_agree_with_the_words_asked_for(path):
    words, vectors = first_vectors(str(path), 10)
    places, asked = read_vectors(path, words)
    assert places.tolist() == list(range(len(words)))
    assert (asked == vectors).all()


def test_a_word_that_stands_twice_in_a_file_is_there_once_with_its_first_vector(tmp_path):
    path = write(tmp_path / "glove.txt", "the 1 2\nthe 3 4\ncat 5 6\ndog 7 8\n")
    words, vectors = first_vectors(path, 2)
    assert words == ["the", "cat"]
    assert vectors.tolist() == [[1, 2], [5, 6]]
    assert read_vectors(path, ["the"])[1].tolist() == [[1, 2]]


def test_words_with_a_blank_in_them_count_among_the_first(tmp_path):
    path = write(tmp_path / "glove.txt", "the 0.5 1.0\nat name@domain.com 5.0 6.0\ncat 7.0 8.0\n")
    assert first_vectors(path, 2)[0] == ["the", "at name@domain.com"]


def test_what_stands_behind_the_first_words_is_not_read(tmp_path):
    path = write(tmp_path / "glove.txt", "the 1 2\ncat 3 4\nbroken\n")
    assert first_vectors(path, 2)[0] == ["the", "cat"]
    with pytest.raises(StillhouseError, match="line 3 must be a word and 2 numbers"):
        first_vectors(path, 3)


def test_an_error_counts_lines_from_the_first_of_the_file(tmp_path):
    for text, line in (("the 1 2\ncat 3\n", 2), ("2 2\nthe 1 2\ncat 3\n", 3)):
        path = write(tmp_path / "x.txt", text)
        for read in (lambda path=path: read_vectors(path, ["cat"]), lambda path=path: first_vectors(path, 9)):
            with pytest.raises(StillhouseError, match=f"line {line} must be a word and 2 numbers"):
                read()
