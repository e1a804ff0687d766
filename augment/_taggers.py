"""Part-of-speech taggers: NLTK's, spaCy's, a function, or word classes learned from the corpus itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from transferset import StillhouseError, unknown

from ._corpus import Corpus
from ._perceptron import Perceptron

#: Takes B lists of words and gives B lists of as many tags.
Tagger = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[str]]]
#: How a tagger is named; a function is its own name.
TaggerSpec = str | Callable[..., Any]

_NLTK_DATA = "averaged_perceptron_tagger_eng"
_CLASSES_ADVICE = "or use --pos-tagger classes, which needs nothing"


def load_tagger(spec: TaggerSpec, corpus: Corpus) -> Tagger:
    """The tagger of a name such as ``nltk``, ``spacy:en_core_web_sm`` or ``classes``, or the function itself.

    Raises:
        StillhouseError: an unknown name; a package or model that is not installed, with how to get it.
    """
    if callable(spec):
        return spec
    kind, _, argument = spec.partition(":")
    if kind == "nltk" and not argument:
        return _nltk()
    if kind == "spacy" and argument:
        return _spacy(argument)
    if kind == "classes":
        from ._classes import class_tagger  # scikit-learn is slow to import

        return class_tagger(corpus, spec)
    raise unknown("pos: tagger", spec, ["nltk", "spacy:MODEL", "classes", "classes:FILE"])


def tagger_name(spec: TaggerSpec) -> str:
    """A name for files, different for different taggers."""
    text = spec if isinstance(spec, str) else spoken_name(spec)
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text)[:40]
    mark = _content_mark(spec)
    if plain == text and not mark:
        return plain
    return f"{plain}-{hashlib.blake2b(f'{text} {mark}'.encode(), digest_size=6).hexdigest()}"


def spoken_name(function: Callable[..., Any]) -> str:
    """Module and name of a function, or of the class of an object that can be called."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _content_mark(spec: TaggerSpec) -> str:
    """What tells apart two taggers of one name: a file's size and time, a local function's code and closure."""
    if isinstance(spec, str):
        kind, _, path = spec.partition(":")
        if kind == "classes" and path and Path(path).is_file():
            stat = Path(path).stat()
            return f"{stat.st_size} {stat.st_mtime_ns}"
        return ""
    code = getattr(spec, "__code__", None)
    if code is None:
        return repr(getattr(spec, "__dict__", ""))
    # Of what a closure holds only what cannot change: a list would give another name after each call.
    cells = [cell.cell_contents for cell in getattr(spec, "__closure__", None) or ()]
    fixed = [cell for cell in cells if isinstance(cell, str | int | float | bool | tuple)]
    return f"{code.co_code!r} {code.co_consts!r} {fixed!r}"


@lru_cache(1)
def _nltk() -> Perceptron:
    import nltk

    try:
        nltk.data.find(f"taggers/{_NLTK_DATA}")
        tagger = nltk.tag.PerceptronTagger()
    except LookupError:
        raise StillhouseError(
            f"pos: tagger nltk must have its model {_NLTK_DATA!r}, got none in {', '.join(nltk.data.path)}:"
            f" run `python -m nltk.downloader {_NLTK_DATA}`, set NLTK_DATA, {_CLASSES_ADVICE}"
        ) from None

    return Perceptron(tagger)


@lru_cache(1)
def _spacy(model: str) -> Tagger:
    try:
        import spacy
        from spacy.tokens import Doc
    except ImportError:
        raise StillhouseError(
            f"pos: tagger spacy:{model} must have spaCy installed: run `pip install 'stillhouse[spacy]'`,"
            f" {_CLASSES_ADVICE}"
        ) from None
    try:
        language = spacy.load(model)
    except OSError:
        raise StillhouseError(
            f"pos: tagger spacy:{model} must be an installed model or its directory, got nothing by that name:"
            f" run `python -m spacy download {model}`, {_CLASSES_ADVICE}"
        ) from None
    needed = [name for name in language.pipe_names if name in ("tok2vec", "transformer", "tagger", "morphologizer")]
    if not {"tagger", "morphologizer"} & set(needed):
        raise StillhouseError(
            f"pos: spacy:{model} must have a tagger, got the pipeline {language.pipe_names}: {_CLASSES_ADVICE}"
        )

    def tag(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        docs = (Doc(language.vocab, words=list(words)) for words in sentences)
        with language.select_pipes(enable=needed):
            return [[word.tag_ or word.pos_ for word in doc] for doc in language.pipe(docs)]

    return tag
