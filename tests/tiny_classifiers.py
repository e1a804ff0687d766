"""One-layer classifiers with random weights, of architectures whose tokens, positions and heads differ."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
import transformers
from conftest import WORDS, _byte_pairs

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
_GPT = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 100}
#: The class of transformers without its ending, and the sizes.
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SMALL),
    "distilbert": ("DistilBert", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
    "roberta": ("Roberta", {**SMALL, "type_vocab_size": 1}),
    "electra": ("Electra", {**SMALL, "embedding_size": 16}),
    "albert": ("Albert", {**SMALL, "embedding_size": 8}),
    "mpnet": ("MPNet", SMALL),
    "deberta-v2": (
        "DebertaV2",
        {**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
    ),
    "xlnet": ("XLNet", {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}),
    "gpt2": ("GPT2", _GPT),
}


def save_classifier(kind: str, folder: Path, **settings: Any) -> Path:
    """A classifier of two classes, or what the settings say, and its tokenizer."""
    name, sizes = CLASSIFIERS[kind]
    tokenizer = tokenizer_of(kind)
    ids = {each: getattr(tokenizer, each) for each in ("pad_token_id", "bos_token_id", "eos_token_id")}
    given = {
        "vocab_size": len(tokenizer),
        "num_labels": 2,
        **({} if kind in ("xlnet", "gpt2") else {"max_position_embeddings": 100}),
        **{each: number for each, number in ids.items() if number is not None},
        **sizes,
        **settings,
    }
    config = getattr(transformers, f"{name}Config")(**given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{name}ForSequenceClassification")(config)
        for weight in model.parameters():  # where a configuration has another name for the range
            torch.nn.init.normal_(weight, std=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tokenizer_of(kind: str) -> Any:
    made = {
        "bert": transformers.BertTokenizer,
        "distilbert": transformers.DistilBertTokenizer,
        "electra": transformers.ElectraTokenizer,
        "mpnet": transformers.MPNetTokenizer,
        "roberta": transformers.RobertaTokenizer,
        "gpt2": transformers.GPT2Tokenizer,
        "albert": transformers.AlbertTokenizer,
        "xlnet": transformers.XLNetTokenizer,
        "deberta-v2": transformers.DebertaV2Tokenizer,
    }[kind]
    letters = [*ascii_lowercase, *".,!"]
    if kind in ("bert", "distilbert", "electra", "mpnet"):
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"] if kind == "mpnet" else special
        pieces = dict.fromkeys([*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
        return made(vocab={piece: place for place, piece in enumerate(pieces)}, model_max_length=100)
    if kind in ("roberta", "gpt2"):
        special = ["<|endoftext|>", "<pad>"] if kind == "gpt2" else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        vocabulary, merges = _byte_pairs(special)
        options = {"pad_token": "<pad>"} if kind == "gpt2" else {}
        return made(vocab=vocabulary, merges=merges, model_max_length=100, **options)
    first = {
        "albert": ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
        "xlnet": ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"],
        "deberta-v2": ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
    }[kind]
    words = [(f"\u2581{word}", -3.0) for word in WORDS if word.isalpha()]
    scores = [*((piece, 0.0) for piece in first), *words, ("\u2581", -5.0), *((letter, -9.0) for letter in letters)]
    # "a" is a word and a letter.
    scores = list({piece: (piece, score) for piece, score in scores}.values())
    options = {"unk_id": first.index("[UNK]" if kind == "deberta-v2" else "<unk>")} if kind != "albert" else {}
    return made(vocab=scores, model_max_length=100, **options)
