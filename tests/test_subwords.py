"""The teacher's own pieces as numbers: those of its tokenizer, one more, without anything put around them."""

import json

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from students._subwords import Subwords
from students._tokens import PAD

PIECES = ["[UNK]", "[CLS]", "[SEP]", "un", "##good", "film", "good", "##s"]
TEXTS = ["Good films", "", "ungood", "nothing known film"]
#: Their pieces by place in PIECES.
MADE_OF = [[6, 5, 7], [], [3, 4], [0, 0, 5]]


def tokenizer_json(vocabulary=None):
    """A tokenizer as a teacher has it: it cuts, pads, and puts special pieces around texts."""
    vocabulary = vocabulary or {piece: n for n, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(piece, vocabulary[piece]) for piece in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    return tokenizer.to_str()


def lists(subwords, texts):
    (side,) = subwords.encode([texts]).sides
    return [part.tolist() for part in np.split(side.ids, side.first[1:-1])]


@pytest.mark.parametrize("texts", [pa.array(TEXTS), pa.chunked_array([TEXTS[:1], TEXTS[1:]])])
def test_pieces_are_the_tokenizers_and_none_is_padding(texts):
    found = lists(Subwords(tokenizer_json()), texts)
    assert found == [[1 + piece for piece in pieces] for pieces in MADE_OF]
    assert all(PAD not in pieces for pieces in found)


def test_long_texts_are_cut_after_so_many_pieces():
    assert lists(Subwords(tokenizer_json(), max_tokens=2), pa.array(TEXTS)) == [[7, 6], [], [4, 5], [1, 1]]


def test_a_pair_is_two_texts():
    texts = Subwords(tokenizer_json()).encode([pa.array(TEXTS), pa.array(TEXTS[::-1])])
    assert texts.lengths.tolist() == [3 + 3, 0 + 2, 2 + 0, 3 + 3]


def test_no_rows_are_no_pieces():
    texts = Subwords(tokenizer_json()).encode([pa.array([], pa.string())])
    assert (len(texts), texts.lengths.tolist()) == (0, [])


def test_every_piece_has_a_number_below_its_length_though_the_tokenizer_has_gaps():
    vocabulary = {**{piece: n for n, piece in enumerate(PIECES)}, "late": 100}
    subwords = Subwords(tokenizer_json(vocabulary))
    assert lists(subwords, pa.array(["late film"])) == [[101, 6]]
    assert len(subwords) == 102


def test_it_is_read_back_from_its_settings_and_files():
    subwords = Subwords(tokenizer_json(), max_tokens=5)
    again = Subwords.read(subwords.settings(), subwords.files())
    assert again == subwords
    assert lists(again, pa.array(TEXTS)) == lists(subwords, pa.array(TEXTS))
    found = again.inputs(subwords.encode([pa.array(TEXTS)]).columns())
    assert found.lengths.tolist() == [3, 0, 2, 3]


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        ({}, b""),
        ({}, b"{}"),
        ({}, b"\xff\xfe"),
        ({}, json.dumps({"model": {"type": "none"}}).encode()),
        ({"max_tokens": 0}, tokenizer_json().encode()),
        ({"max_tokens": "x"}, tokenizer_json().encode()),
        ({"nosuch": 1}, tokenizer_json().encode()),
    ],
)
def test_what_is_no_tokenizer_is_refused(settings, data):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Subwords.read(settings, {"tokenizer.json": data})
