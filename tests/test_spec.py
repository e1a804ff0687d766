"""Specifications of teachers: kinds, names and options, and one line where they do not fit."""

from __future__ import annotations

from dataclasses import is_dataclass

import pytest

from label import load_teacher, load_teachers, teachers
from label.encoder import Encoder
from label.huggingface import Huggingface
from label.python import Python
from label.sklearn import Sklearn
from transferset import StillhouseError
from transferset.parameters import parameters


def test_every_kind_is_a_frozen_dataclass_whose_first_field_alone_must_be_given():
    assert set(teachers()) == {"encoder", "huggingface", "python", "sklearn"}
    for kind, cls in teachers().items():
        assert is_dataclass(cls)
        assert cls.__dataclass_params__.frozen
        made = cls("rules:score" if kind == "python" else "somewhere")
        assert getattr(made, parameters(cls)[0].name) in ("rules:score", "somewhere")
        assert set(cls.gives) <= {"logits", "embedding", "hidden"}
        assert all(each.help for each in parameters(cls))
        assert cls.__doc__.strip()


@pytest.mark.parametrize(
    ("spec", "teacher"),
    [
        ("./my-bert", Huggingface("./my-bert")),
        ("org/model", Huggingface("org/model")),
        ("huggingface:org/model", Huggingface("org/model")),
        ("encoder:org/model", Encoder("org/model")),
        ("sklearn:a/b.skops", Sklearn("a/b.skops")),
        ("python:rules:score", Python("rules:score")),
    ],
)
def test_what_stands_before_the_colon_is_the_kind(spec, teacher):
    assert load_teacher(spec) == teacher


def test_a_directory_with_a_colon_in_its_name_is_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "encoder:x").mkdir()
    assert load_teacher("encoder:x") == Huggingface("encoder:x")


def test_options_are_the_fields_of_the_kind():
    assert load_teacher("m", {"max_length": 64, "dtype": "float32"}) == Huggingface("m", 64, "float32")
    assert load_teacher("python:a:b", {"batch_rows": 7}) == Python("a:b", 7)


def test_of_several_teachers_each_has_the_options_of_its_kind():
    found = load_teachers(["m", "python:a:b", "encoder:e"], {"max_length": 64, "batch_rows": 7})
    assert found == [Huggingface("m", 64), Python("a:b", 7), Encoder("e", 64)]


@pytest.mark.parametrize(
    ("spec", "options", "says"),
    [
        ("sklern:model.skops", {}, "teacher: kind: must be one of .*'sklern'.*did you mean 'sklearn'"),
        ("sklearn:", {}, "teacher: must say what after sklearn:, got nothing"),
        ("python:rules", {}, "python: function must be of the form MODULE:FUNCTION, got 'rules'"),
        ("m", {"floor": 0.1}, "floor: must be an option of huggingface, got one of sklearn"),
        ("m", {"trust_pickle": True}, "trust-pickle: must be an option of huggingface, got one of sklearn"),
        ("sklearn:f", {"max_length": 3}, "max-length: must be an option of sklearn, got one of encoder, huggingface"),
        ("m", {"no_such": 3}, "no-such: must be an option of huggingface, got one of no teacher"),
        ("m", {"name": "other"}, "name: must be an option of huggingface"),
        ("m", {"max_length": "8"}, "huggingface: max_length must be int or NoneType, got '8'"),
        ("m", {"max_length": 0}, "max-length: must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_one_line(spec, options, says):
    with pytest.raises(StillhouseError, match=says) as error:
        load_teacher(spec, options)
    assert "\n" not in str(error.value)
