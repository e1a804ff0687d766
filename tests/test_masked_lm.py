"""What a masked language model proposes is what a plain script with transformers makes of the same texts."""

import copy
import functools
import re

import numpy as np
import pytest
from conftest import MASKED_LMS, WORDS

from augment._masked_lm import CONTEXTS, MaskedLM
from transferset import StillhouseError

pytestmark = pytest.mark.usefixtures("one_thread")

OF_EACH_KIND = pytest.mark.parametrize("kind", MASKED_LMS)
TEXTS = [
    "The film is not good",
    "It was a great story , and movie , ( plot ) ! was dull",
    "filming — 👍🏽 the plot is dull",
    "Slow  and\tmovie\nacting",
    "The café has [MASK] plot <mask> good",
    "It was , filming films and unknownword film",
    "",
    "  ",
    "👍",
]
ODD_TEXTS = ["film", 'great "film" — 很 good (film)', "It's SLOW", "very <s> slow é", "很 good", "好 שלום"]
REVIEWS = [
    "It's a charming and often affecting journey.",
    "unflinchingly bleak and desperate",
    "allows us to hope that Nolan is poised to embark on a major career as a commercial yet inventive filmmaker",
    "dull",
    "The acting, costumes, music, cinematography and sound are all astounding given the production's austere locales.",
    "a film about 3 friends — and a dog",
    "It was slow, very, very slow. " * 3,
]
#: A Chinese character is a word, and so is a run of other letters and digits.
WORD = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+")


def spans_of(text):
    return [match.span() for match in WORD.finditer(text)]


def proposed(lm, texts, batch_tokens=200):
    """The candidates of each word of the texts, by number of the text and start of the word, if it has any."""
    lm.batch_tokens = batch_tokens
    names = [(number, span) for number, text in enumerate(texts) for span in spans_of(text)]
    words = [
        np.array([[n, *span] for n, (text, span) in enumerate(names) if text == number], np.int64).reshape(-1, 3)
        for number in range(len(texts))
    ]
    found = {}
    for numbers, offers in lm.propose(texts, words):
        for number, offer in zip(numbers.tolist(), offers.to_pylist(), strict=True):
            text, (start, _) = names[number]
            assert (text, start) not in found
            found[text, start] = offer
    return found


class Plain:
    """The plain script: one text at a time, everything from the model's own tokenizer."""

    def __init__(self, folder):
        import torch
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
        special = set(self.tokenizer.all_special_ids)
        vocabulary = {token: id_ for token, id_ in self.tokenizer.get_vocab().items() if id_ not in special}
        marks = [mark for mark in ("\u0120", "\u2581") if f"{mark}film" in vocabulary]
        self.words = {}
        for token, id_ in vocabulary.items():
            text = self.text_of(id_)
            begins = token.startswith(marks[0]) if marks else not token.startswith("##")
            if begins and WORD.fullmatch(text):
                self.words[id_] = text

    def pieces(self, text):
        """The pieces of a text, and which of them is each word that is a single one, by where it starts."""
        encoding = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True, truncation=False
        )
        ids = encoding["input_ids"]
        inked = []
        for token, (start, end) in zip(
            self.tokenizer.convert_ids_to_tokens(ids), encoding["offset_mapping"], strict=True
        ):
            blank = len(text[start:end]) - len(text[start:end].lstrip())
            inked.append(None if token in ("\u0120", "\u2581") else (start + blank, end))
        places = {}
        for start, end in spans_of(text):
            touching = [place for place, ink in enumerate(inked) if ink and ink[0] < end and ink[1] > start]
            (place,) = touching if len(touching) == 1 else (None,)
            if place is not None and inked[place] == (start, end) and ids[place] != self.tokenizer.unk_token_id:
                places[start] = place
        return ids, places

    def logits(self, ids, masked, pair=False):
        """The model's scores of a text some pieces of which are masked, (pieces, V)."""
        import torch

        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        hidden = [self.tokenizer.mask_token_id if place in masked else id_ for place, id_ in enumerate(ids)]
        inputs = [cls, *hidden, sep]
        types = [0] * len(inputs)
        if pair:
            # Byte-level tokenizers put two separators between a pair.
            between = [sep] * (self.tokenizer("a", "a")["input_ids"].count(sep) - 2)
            second = [*between, *ids, sep]
            inputs, types = [*inputs, *second], [*types, *[1] * len(second)]
        given = {"input_ids": torch.tensor([inputs])}
        if getattr(self.model.config, "type_vocab_size", 0) > 1:
            given["token_type_ids"] = torch.tensor([types])
        with torch.inference_mode():
            return self.model(**given).logits[0, 1 : 1 + len(ids)].numpy()

    def candidates(self, text, k, context):
        ids, places = self.pieces(text)
        starts = list(places)
        groups = {
            "masked": [[start] for start in starts],
            "with_original": [[start] for start in starts],
            "grouped": [starts[first::4] for first in range(min(4, len(starts)))],
            "unmasked": [starts],
        }[context]
        found = {}
        for group in groups:
            masked = set() if context == "unmasked" else {places[start] for start in group}
            logits = self.logits(ids, masked, context == "with_original")
            for start in group:
                found[start] = self.best(logits[places[start]], ids[places[start]], k)
        return found

    def text_of(self, id_):
        return self.tokenizer.convert_tokens_to_string([self.tokenizer.convert_ids_to_tokens(id_)]).strip()

    def best(self, logits, own, k):
        ids, word = np.array(list(self.words)), self.text_of(own).lower()
        ranked = ids[np.argsort(-logits[ids])][: k + 9].tolist()
        return [self.words[id_] for id_ in ranked if self.words[id_].lower() != word][:k]


plain_script = functools.cache(Plain)


def plainly(folder, texts, k, context):
    script = plain_script(folder)
    return {
        (number, start): offer
        for number, text in enumerate(texts)
        for start, offer in script.candidates(text, k, context).items()
    }


@OF_EACH_KIND
@pytest.mark.parametrize("context", CONTEXTS)
def test_candidates_are_those_of_a_plain_script(kind, context, masked_lms):
    found = proposed(MaskedLM(str(masked_lms[kind]), context, 7, 128), TEXTS)
    assert found == plainly(masked_lms[kind], TEXTS, 7, context)
    assert len(found) > 20


@OF_EACH_KIND
@pytest.mark.parametrize("context", CONTEXTS)
def test_candidates_in_odd_texts_are_those_of_a_plain_script(kind, context, masked_lms):
    found = proposed(MaskedLM(str(masked_lms[kind]), context, 7, 128), ODD_TEXTS)
    assert found == plainly(masked_lms[kind], ODD_TEXTS, 7, context)


@pytest.mark.parametrize("context", CONTEXTS)
def test_candidates_of_a_trained_model_are_those_of_a_plain_script(context, shared):
    folder = shared / "models" / "minilm-l6-mlm"
    texts = ["The plot is thin, but the acting saves it.", "an utterly charming and hilarious film", "naïve 👍 films"]
    found = proposed(MaskedLM(str(folder), context, 15, 128), texts)
    assert found == plainly(folder, texts, 15, context)
    assert {"film", "movie", "story"} & set(found[1, texts[1].index("film")])


@OF_EACH_KIND
@pytest.mark.parametrize("context", CONTEXTS)
def test_batches_do_not_matter(kind, context, masked_lms):
    lm = MaskedLM(str(masked_lms[kind]), context, 5, 128)
    together = proposed(lm, TEXTS, batch_tokens=10_000)
    assert proposed(lm, TEXTS, batch_tokens=1) == together
    alone = {(n, start): offer for n, text in enumerate(TEXTS) for (_, start), offer in proposed(lm, [text]).items()}
    assert alone == together


@pytest.mark.parametrize("context", CONTEXTS)
def test_what_else_was_asked_does_not_matter_to_a_trained_model(context, shared):
    lm = MaskedLM(str(shared / "models" / "minilm-l6-mlm"), context, 15, 128)
    together = proposed(lm, REVIEWS, batch_tokens=2048)
    alone = {(n, at): offer for n, text in enumerate(REVIEWS) for (_, at), offer in proposed(lm, [text], 2048).items()}
    assert alone == together
    assert proposed(lm, REVIEWS[::-1], 300) == {(len(REVIEWS) - 1 - n, at): offer for (n, at), offer in alone.items()}
    assert len(together) > 60


@OF_EACH_KIND
def test_the_head_of_the_model_sees_only_the_words_asked_about(kind, masked_lms):
    lm, seen = MaskedLM(str(masked_lms[kind]), "masked", 5, 128), []
    lm.model.get_output_embeddings().register_forward_pre_hook(
        lambda _, given: seen.append(given[0].shape[:-1].numel())
    )
    assert sum(seen) == len(proposed(lm, TEXTS)) - sum(seen)  # nothing before, all of them after
    assert sum(seen) == len(plainly(masked_lms[kind], TEXTS, 1, "masked"))


@OF_EACH_KIND
def test_every_whole_word_but_the_original_is_offered_where_k_is_large(kind, masked_lms):
    texts = ["The film Film FILM is , the Great films", "The dull movie"]
    words = set(plain_script(masked_lms[kind]).words.values())
    assert {word for word in WORDS if word.isalpha()} <= {word.lower() for word in words}
    found = proposed(MaskedLM(str(masked_lms[kind]), "masked", 10_000, 128), texts)
    assert len(found) >= 8
    for (number, start), offer in found.items():
        own = WORD.match(texts[number], start).group().lower()
        assert len(offer) == len(set(offer))
        assert set(offer) == {word for word in words if word.lower() != own}


@OF_EACH_KIND
@pytest.mark.parametrize("text", ['"film" was good', "film", "(great story)"])
def test_the_original_is_no_candidate_where_no_space_is_before_it(kind, text, masked_lms):
    found = proposed(MaskedLM(str(masked_lms[kind]), "masked", 10_000, 128), [text])
    own = {start: WORD.match(text, start).group().lower() for _, start in found}
    assert all(own[start] not in map(str.lower, offer) for (_, start), offer in found.items())


@OF_EACH_KIND
def test_words_of_several_pieces_have_no_candidates(kind, masked_lms):
    texts = ["filming xx", "film storyplot , xx and unknownword", "plotting"]
    found = proposed(MaskedLM(str(masked_lms[kind]), "masked", 5, 128), texts)
    assert sorted(found) == [(1, 0), (1, 20)]


@OF_EACH_KIND
def test_words_of_several_bytes_or_unknown_ones_have_no_candidates(kind, masked_lms):
    # A letter beyond ASCII or a Chinese character is several bytes, each a piece of byte-level models.
    found = proposed(MaskedLM(str(masked_lms[kind]), "masked", 5, 128), ["film þ , 好 and", "好", "good שלום"])
    assert [key for key in sorted(found) if key != (2, 0)] == [(0, 0), (0, 11)]


def test_a_mark_of_its_own_is_not_taken_for_the_word_behind_it(masked_lms):
    # Before a character that no piece joins, a unigram model has its mark as a piece, which has the character's place.
    lm, script = MaskedLM(str(masked_lms["deberta-v2"]), "masked", 5, 128), plain_script(masked_lms["deberta-v2"])
    ids, places = script.pieces("很 good film")
    assert (ids[0], ids[places[0]]) == tuple(script.tokenizer.convert_tokens_to_ids(["\u2581", "很"]))
    found = proposed(lm, ["很 good film"])
    assert found.get((0, 0), []) in ([], script.candidates("很 good film", 5, "masked")[0])


def test_a_piece_inside_a_word_is_not_a_word(masked_lms):
    # BERT takes kana as one word, where each is a word here: て is the piece ##て there.
    from transformers import AutoModelForMaskedLM, BertTokenizer

    script = plain_script(masked_lms["bert"])
    words = ["と", "##て", "##も", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "て", "も", "good"]
    folder = masked_lms["bert"].parent / "kana"
    if not folder.exists():
        AutoModelForMaskedLM.from_config(script.model.config).save_pretrained(folder)
        BertTokenizer(vocab={word: place for place, word in enumerate(words)}).save_pretrained(folder)
    lm = MaskedLM(str(folder), "masked", 10, 128)
    words = [np.array([[0, 0, 1], [1, 1, 2], [2, 2, 3], [3, 4, 8]])]
    found = {
        n: offer
        for many, offers in lm.propose(["とても good"], words)
        for n, offer in zip(many, offers.to_pylist(), strict=True)
    }
    assert set(found) <= {0, 3}


@OF_EACH_KIND
def test_special_tokens_in_a_text_are_letters(kind, masked_lms):
    lm = MaskedLM(str(masked_lms[kind]), "masked", 5, 128)
    special = {lm.tokenizer.mask_token, "[MASK]", "<mask>", "</s>"}
    known = {
        lm.tokenizer.mask_token_id,
        lm.tokenizer.cls_token_id,
        lm.tokenizer.sep_token_id,
        lm.tokenizer.pad_token_id,
    }
    for text in sorted(special):
        ((pieces, offsets),) = lm.pieces_of([f"good {text}film"])
        assert not known & set(pieces.tolist())
        assert offsets.max() == len(text) + 9


@OF_EACH_KIND
@pytest.mark.parametrize("context", CONTEXTS)
def test_long_texts_are_read_in_runs(kind, context, masked_lms):
    text = "café 👍 " + " ".join(WORDS * 3)
    script = plain_script(masked_lms[kind])
    ids, places = script.pieces(text)
    lm = MaskedLM(str(masked_lms[kind]), context, 5, 20)
    room = lm.room
    assert 6 <= room <= 18
    assert len(ids) > 4 * room
    expected = {}
    for first in range(0, len(ids), room):
        run = ids[first : first + room]
        starts = [start for start, place in places.items() if first <= place < first + len(run)]
        size = {"grouped": 4, "unmasked": 1}.get(context, max(1, len(starts)))
        for group in range(min(size, len(starts))):
            asked = starts[group::size]
            masked = set() if context == "unmasked" else {places[start] - first for start in asked}
            logits = script.logits(run, masked, context == "with_original")
            for start in asked:
                expected[0, start] = script.best(logits[places[start] - first], ids[places[start]], 5)
    assert proposed(lm, [text]) == expected


@OF_EACH_KIND
@pytest.mark.parametrize("context", CONTEXTS)
def test_no_text_is_longer_than_the_model_takes(kind, context, masked_lms):
    text = " ".join(["film good"] * 200)
    found = proposed(MaskedLM(str(masked_lms[kind]), context, 5, 10_000), [text], batch_tokens=5000)
    assert sorted(found) == [(0, start) for start, _ in spans_of(text)]


def test_nothing_is_asked_where_there_is_nothing_to_ask(masked_lms):
    lm = MaskedLM(str(masked_lms["bert"]), "masked", 5, 128)
    nothing = np.zeros((0, 3), np.int64)
    assert list(lm.propose([], [])) == []
    assert list(lm.propose(["the film", ""], [nothing, nothing])) == []


@OF_EACH_KIND
@pytest.mark.parametrize("stored", ["float32", "bfloat16", "float16"])
def test_the_model_is_in_eval_mode_and_always_in_float32(kind, stored, masked_lms, tmp_path):
    import torch

    script = plain_script(masked_lms[kind])
    copy.deepcopy(script.model).to(getattr(torch, stored)).save_pretrained(tmp_path)
    script.tokenizer.save_pretrained(tmp_path)
    lm = MaskedLM(str(tmp_path), "masked", 5, 128)
    assert not lm.model.training
    assert {weight.dtype for weight in lm.model.parameters()} == {torch.float32}
    assert len(proposed(lm, TEXTS)) > 20


def test_a_tokenizer_without_a_mask_is_refused(tmp_path, masked_lms):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "film": 2}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    plain_script(masked_lms["bert"]).model.save_pretrained(tmp_path)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]")
    fast.save_pretrained(tmp_path)
    with pytest.raises(StillhouseError) as error:
        MaskedLM(str(tmp_path), "masked", 5, 128)
    assert str(error.value) == f"{tmp_path}: tokenizer must have a mask token, got none"


def test_a_classifier_is_refused(tiny_teacher):
    with pytest.raises(StillhouseError) as error:
        MaskedLM(str(tiny_teacher), "masked", 5, 128)
    assert str(error.value).startswith(
        f"{tiny_teacher}: must be a masked language model with all its weights, got none"
    )
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all"])
def test_a_folder_that_is_not_there_is_refused(name):
    with pytest.raises(StillhouseError, match=f"^{name}: must be the directory of a Hugging Face model, got nothing"):
        MaskedLM(name, "masked", 5, 128)
