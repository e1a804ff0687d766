"""The data that ships: how many rows, which labels, and that no text is there twice or on both sides of the split."""

from collections import Counter
from itertools import pairwise

import pytest
from conftest import ROOT

SETS = {
    "reviews": (("text", "label"), {"negative", "positive"}, 1200),
    "questions": (("question1", "question2", "label"), {"different", "duplicate"}, 300),
}


def rows_of(name, split):
    """The header and the rows of a file, cut at tabs alone: nothing in it is quoted."""
    lines = (ROOT / "data" / name / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    header, *rows = [tuple(line.split("\t")) for line in lines]
    return header, rows


def texts_of(row):
    return [" ".join(text.lower().split()) for text in row[:-1]]


def words_of(text):
    return {word.strip("?,'") for word in text.lower().split()}


@pytest.mark.parametrize("name", SETS)
def test_every_row_has_its_columns_and_a_known_label(name):
    columns, labels, least = SETS[name]
    train, test = rows_of(name, "train"), rows_of(name, "test")
    assert train[0] == test[0] == columns
    rows = train[1] + test[1]
    assert len(rows) >= least
    assert {len(row) for row in rows} == {len(columns)}
    assert all(text and text == text.strip() and '"' not in text for row in rows for text in row[:-1])
    assert {row[-1] for row in test[1]} == labels
    assert {row[-1] for row in train[1]} - {""} == labels


@pytest.mark.parametrize("name", SETS)
def test_no_text_is_there_twice_or_in_both_files(name):
    texts = Counter(text for split in ("train", "test") for row in rows_of(name, split)[1] for text in texts_of(row))
    assert [text for text, times in texts.items() if times > 1] == []


@pytest.mark.parametrize("split", ["train", "test"])
def test_half_of_the_pairs_are_duplicates_and_labels_are_mixed(split):
    labels = [row[-1] for row in rows_of("questions", split)[1]]
    assert Counter(labels)["duplicate"] * 2 == len(labels)
    changes = sum(one != other for one, other in pairwise(labels))
    assert changes > len(labels) / 3


def test_shared_words_alone_do_not_tell_duplicates_from_others():
    rows = rows_of("questions", "train")[1] + rows_of("questions", "test")[1]
    pairs = [(words_of(one), words_of(other)) for one, other, _ in rows]
    overlap = [len(one & other) / len(one | other) for one, other in pairs]
    same = [row[-1] == "duplicate" for row in rows]
    for threshold in overlap:
        right = sum((share >= threshold) == answer for share, answer in zip(overlap, same, strict=True)) / len(rows)
        assert max(right, 1 - right) < 0.7, threshold
