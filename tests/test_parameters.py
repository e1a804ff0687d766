"""Parameters are written once, in a dataclass: found, checked, described and built back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from textwrap import dedent
from typing import Annotated

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transferset import StillhouseError
from transferset.parameters import build, check_at_least, check_share, check_whole, describe, discover, parameters

#: Each package of classes with parameters, and the method that a class of it has.
PACKAGES = [("augment", "fit"), ("students", "build"), ("students.objectives", "loss")]
SAMPLES = {int: 3, float: 0.5, str: "x", bool: True}


@dataclass(frozen=True)
class Sample:
    rate: Annotated[float, "a share"]
    name: Annotated[str | None, "a name"] = None
    count: int = 3
    sizes: tuple[int, ...] = (1, 2)
    rates: tuple[float, ...] = ()
    fast: bool = False
    tagger: Annotated[str | Callable[..., object], "a name or a function"] = "nltk"
    limit: float | None = None
    seen: list[str] = field(default_factory=list)
    learned: int = field(init=False, default=0)


def refused(values, cls=Sample):
    with pytest.raises(StillhouseError) as caught:
        build(cls, values, "sample")
    assert str(caught.value).startswith("sample: ")
    return str(caught.value)


# Finding.


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A package of four modules, of which two hold a class of their own name with a method ``fit``."""
    package = tmp_path / "shelf_of_samples"
    package.mkdir()
    modules = {
        "__init__": "",
        "two_words": "class TwoWords:\n    def fit(self): ...\nclass Other:\n    def fit(self): ...",
        "plain": "class Plain:\n    def fit(self): ...",
        "no_method": "class NoMethod:\n    pass",
        "_hidden": "class Hidden:\n    def fit(self): ...",
        "borrowed": "from .plain import Plain as Borrowed",
        "no_class": "def NoClass(): ...\nNoClass.fit = None",
    }
    for name, text in modules.items():
        (package / f"{name}.py").write_text(dedent(text) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package.name
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def test_a_class_is_found_by_the_name_of_its_module(shelf):
    found = discover(shelf, "fit")
    assert sorted(found) == ["plain", "two_words"]
    assert [found[name].__name__ for name in ("plain", "two_words")] == ["Plain", "TwoWords"]


def test_a_new_file_is_all_it_takes_to_be_found(shelf, tmp_path):
    (tmp_path / shelf / "extra.py").write_text("class Extra:\n    def fit(self): ...\n")
    assert "extra" in discover(shelf, "fit")


def test_the_parameters_are_the_fields_in_order():
    found = {each.name: each for each in parameters(Sample)}
    assert list(found) == ["rate", "name", "count", "sizes", "rates", "fast", "tagger", "limit", "seen"]
    assert (found["rate"].type, found["rate"].default, found["rate"].help) == (float, MISSING, "a share")
    assert (found["count"].type, found["count"].default, found["count"].help) == (int, 3, "")
    assert found["seen"].default == []


# Building.


def test_plain_values_make_an_instance():
    made = build(Sample, {"rate": 0.5, "name": "x", "sizes": [3, 4], "fast": True}, "sample")
    assert made == Sample(rate=0.5, name="x", sizes=(3, 4), fast=True)
    assert build(Sample, {"rate": 0.5, "name": None}, "sample") == Sample(rate=0.5)


def test_a_whole_number_is_good_for_a_fraction_and_becomes_one():
    made = build(Sample, {"rate": 1, "limit": 2, "rates": [1, 0.5]}, "sample")
    assert [type(value) for value in (made.rate, made.limit, *made.rates)] == [float] * 4


def test_a_list_is_good_for_a_tuple():
    assert build(Sample, {"rate": 0.1, "sizes": []}, "sample").sizes == ()
    assert build(Sample, {"rate": 0.1, "sizes": (5,)}, "sample").sizes == (5,)


def test_a_function_is_good_where_one_is_asked_for():
    assert build(Sample, {"rate": 0.1, "tagger": len}, "sample").tagger is len


def test_an_unknown_parameter_suggests_the_nearest():
    assert "must be one of rate, name, count" in refused({"rate": 0.1, "cuont": 3})
    assert refused({"rate": 0.1, "cuont": 3}).endswith("got 'cuont': did you mean 'count'?")


def test_a_field_that_is_no_parameter_is_unknown():
    assert "'learned'" in refused({"rate": 0.1, "learned": 1})


def test_a_missing_parameter_is_named():
    assert refused({}) == "sample: rate must be given, got nothing"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", "0.1"),
        ("rate", True),
        ("rate", None),
        ("rate", [0.1]),
        ("name", 3),
        ("count", 3.0),
        ("count", True),
        ("count", "3"),
        ("sizes", 3),
        ("sizes", "34"),
        ("sizes", [1, "2"]),
        ("sizes", [1, True]),
        ("sizes", {"1": 2}),
        ("rates", [0.5, "x"]),
        ("fast", 1),
        ("fast", "true"),
        ("limit", "none"),
        ("limit", False),
        ("tagger", 5),
        ("tagger", {"name": "nltk"}),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    message = refused({"rate": 0.1, name: value})
    assert message.startswith(f"sample: {name} must be ")
    assert message.endswith(f", got {value[-1] if name in ('sizes', 'rates') and isinstance(value, list) else value!r}")


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from([each.name for each in fields(Sample)]) | st.text(max_size=3), PLAIN))
@example({"rate": 10**400})
def test_any_plain_values_make_an_instance_or_our_error(values):
    try:
        made = build(Sample, values, "sample")
    except StillhouseError:
        return
    assert isinstance(made.rate, float)


def test_the_values_are_not_changed():
    values = {"rate": 1, "sizes": [1]}
    build(Sample, values, "sample")
    assert values == {"rate": 1, "sizes": [1]}


def test_what_describes_an_instance_shares_nothing_with_it():
    made = Sample(rate=0.1)
    describe(made)["seen"].append("x")
    assert made.seen == []


# Every class that there is.


def each_class(package, method):
    found = discover(package, method)
    assert found, f"{package} has none"
    return found.items()


def instances(cls):
    """One with the defaults, and one each with a number changed, where the class allows it."""
    needed = {each.name: SAMPLES[each.type] for each in parameters(cls) if each.default is MISSING}
    first = cls(**needed)
    yield first
    for each in parameters(cls):
        value = getattr(first, each.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                changed = replace(first, **{each.name: value / 2 if isinstance(value, float) else value + 1})
            except StillhouseError:
                continue
            yield changed


@pytest.mark.parametrize(("package", "method"), PACKAGES)
def test_every_instance_is_built_back_from_its_description_in_json(package, method):
    for name, cls in each_class(package, method):
        for made in instances(cls):
            described = json.loads(json.dumps(describe(made)))
            assert build(cls, described, name) == made
            assert list(described) == [each.name for each in parameters(cls)]


@pytest.mark.parametrize(("package", "method"), PACKAGES)
def test_every_class_is_a_frozen_dataclass_that_explains_its_parameters(package, method):
    for name, cls in each_class(package, method):
        assert cls.__dataclass_params__.frozen, name
        for each in parameters(cls):
            assert each.help, f"{name}: {each.name}"


@pytest.mark.parametrize(("package", "method"), PACKAGES)
def test_every_parameter_refuses_what_is_neither_number_nor_name(package, method):
    for name, cls in each_class(package, method):
        needed = {each.name: SAMPLES[each.type] for each in parameters(cls) if each.default is MISSING}
        for each in parameters(cls):
            with pytest.raises(StillhouseError, match=f"^{name}: {each.name} must be "):
                build(cls, {**needed, each.name: {"a": 1}}, name)


@pytest.mark.parametrize(("package", "method"), PACKAGES)
def test_every_class_refuses_an_unknown_parameter(package, method):
    for name, cls in each_class(package, method):
        with pytest.raises(StillhouseError, match=f"^{name}: parameter: .*got 'no_such_thing'"):
            build(cls, {"no_such_thing": 1}, name)


# The checks of ranges.


@pytest.mark.parametrize("value", [-0.001, 1.001, float("nan"), float("inf")])
def test_a_share_is_from_nought_to_one(value):
    check_share("mask: rate", 0)
    check_share("mask: rate", 1)
    with pytest.raises(StillhouseError, match=r"^mask: rate must be between 0 and 1, got "):
        check_share("mask: rate", value)


@pytest.mark.parametrize("value", [0, 0.999, -1, float("nan")])
def test_what_is_too_small_or_no_number_is_refused(value):
    check_at_least("ngram: shortest", 1, 1)
    with pytest.raises(StillhouseError, match=r"^ngram: shortest must be at least 1, got "):
        check_at_least("ngram: shortest", value, 1)


@pytest.mark.parametrize("value", [2**63, 2**200])
def test_a_whole_number_is_one_that_64_bits_hold(value):
    check_whole("copies", 2**63 - 1, 0)
    says = f"copies must be at most {2**63 - 1}, got a number of {value.bit_length()} bits"
    with pytest.raises(StillhouseError, match=says):
        check_whole("copies", value, 0)
