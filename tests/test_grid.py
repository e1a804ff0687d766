"""Which students a sweep trains: every combination, or draws that are the same each time; errors say what is wrong."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest

from students import Reading, Training, load_architecture, load_objective
from students.grid import candidates, read_grid
from transferset import StillhouseError


def grid_file(folder, text):
    (folder / "grid.toml").write_text(text)
    return folder / "grid.toml"


def options_of(found):
    return [dict(each.options) for each in found]


# Files.


def test_what_stands_above_the_tables_is_in_each_of_them(tmp_path):
    text = 'epochs = 2\nstudent = "bag"\n[[grid]]\nseed = [0, 1]\n[[grid]]\nstudent = ["cnn"]\nloss = "kl"\n'
    assert read_grid(grid_file(tmp_path, text)) == [
        {"epochs": 2, "student": "bag", "seed": [0, 1]},
        {"epochs": 2, "student": ["cnn"], "loss": "kl"},
    ]
    assert read_grid(grid_file(tmp_path, "")) == [{}]
    assert read_grid(str(grid_file(tmp_path, "seed = 3"))) == [{"seed": 3}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = [0, 1", r"grid\.toml: must be TOML: "),
        ("seed = 1\nseed = 2", r"grid\.toml: must be TOML: "),
        ("grid = 3", r"grid\.toml: grid must be tables \[\[grid\]\], got 3"),
        ("grid = []", r"grid\.toml: grid must be tables \[\[grid\]\], got \[\]"),
        ("grid = [1, 2]", r"grid\.toml: grid must be tables \[\[grid\]\], got \[1, 2\]"),
        ("[grid]\nseed = 1", r"grid\.toml: grid must be tables \[\[grid\]\], got \{'seed': 1\}"),
        ("x = " + "[" * 5000 + "]" * 5000, r"grid\.toml: must be TOML: "),
    ],
)
def test_a_file_that_is_no_grid_is_one_line(tmp_path, text, message):
    with pytest.raises(StillhouseError, match=message) as refused:
        read_grid(grid_file(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(StillhouseError, match=r"none\.toml: must be a TOML file of options: No such file"):
        read_grid(tmp_path / "none.toml")
    with pytest.raises(StillhouseError, match="must be a TOML file of options: Is a directory"):
        read_grid(tmp_path)
    (tmp_path / "grid.toml").write_bytes(b"student = '\xff'")
    with pytest.raises(StillhouseError, match="must be TOML: "):
        read_grid(tmp_path / "grid.toml")


# Combinations.


def test_every_combination_is_there_once_in_an_order_that_does_not_change():
    grid = {"student": ["bag", "cnn"], "learning-rate": [0.1, 0.2], "seed": [0, 1, 2], "epochs": 2}
    found = candidates([grid])
    said = [(each.options["student"], each.training.learning_rate, each.seed) for each in found]
    assert Counter(said) == Counter(product(("bag", "cnn"), (0.1, 0.2), (0, 1, 2)))
    assert {each.training for each in found} == {Training(epochs=2, learning_rate=rate) for rate in (0.1, 0.2)}
    assert candidates([grid]) == found
    assert [each.name for each in candidates([dict(reversed(grid.items()))])] == [each.name for each in found]


def test_a_candidate_is_what_its_options_say():
    grid = {"student": "bag", "hidden": 8, "loss": "kl", "temperature": 3, "tokens": "pieces", "dtype": "float32"}
    (found,) = candidates([{**grid, "batch_size": 7, "seed": 5}])
    assert found.architecture == load_architecture("bag", {"hidden": 8})
    assert found.objective == load_objective("kl", {"temperature": 3.0})
    assert found.training == Training(batch_size=7, dtype="float32")
    assert (found.reading, found.seed) == (Reading(tokens="pieces"), 5)
    assert dict(found.options) == {**grid, "batch_size": 7, "seed": 5}


def test_nothing_given_is_what_train_does_by_default():
    (found,) = candidates([{}])
    assert found.architecture == load_architecture("bilstm", {})
    assert (found.objective, found.training) == (load_objective("mse"), Training())
    assert (found.reading, found.seed) == (Reading(), 0)


def test_options_of_other_kinds_are_passed_over_and_what_is_then_the_same_merges():
    grid = {"student": ["bag", "bilstm"], "width": [4, 8], "loss": ["mse", "kl"], "temperature": [1.0, 2.0]}
    found = options_of(candidates([grid]))
    bag = [
        {key: value for key, value in each.items() if key != "student"} for each in found if each["student"] == "bag"
    ]
    assert sorted(bag, key=str) == [
        {"loss": "kl", "temperature": 1.0},
        {"loss": "kl", "temperature": 2.0},
        {"loss": "mse"},
    ]
    assert len([each for each in found if each["student"] == "bilstm"]) == 2 * 3


def test_the_same_student_in_two_grids_is_one():
    found = candidates([{"student": "bag", "seed": [0, 1]}, {"student": "bag", "seed": [1, 2], "hidden": 400}])
    assert sorted(each.seed for each in found) == [0, 1, 2]


def test_names_are_of_the_settings_and_not_of_how_they_are_said():
    (one,), (same,), (other,) = (
        candidates([each]) for each in ({}, {"student": "bilstm", "width": 150}, {"width": 151})
    )
    assert one.name == same.name != other.name
    assert one.name.startswith("bilstm-")
    names = [
        each.name for each in candidates([{"student": ["bag", "cnn"], "seed": list(range(50)), "dropout": [0.0, 0.1]}])
    ]
    assert len(set(names)) == 200


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"student": "bilstn"}, "student: must be one of .*bilstm.*, got 'bilstn': did you mean 'bilstm'?"),
        ({"student": ["bag", 7]}, "student: must be one of .*, got '7'"),
        ({"student": [["bag"]]}, "student: must be one of .*, got "),
        ({"student": {"low": 1, "high": 2}}, "student: must be one of .*, got "),
        ({"loss": "mes"}, "loss: must be one of .*mse.*, got 'mes': did you mean 'mse'?"),
        ({"loss": {"a": 1}}, "loss: must be one of .*, got "),
        ({"learning-rat": 1}, "sweep: option: must be one of .*, got 'learning_rat': did you mean 'learning_rate'?"),
        # Known, but of none of the kinds that take part.
        ({"student": "bag", "width": 8}, "sweep: option: must be one of .*, got 'width'"),
        ({"loss": "mse", "temperature": 2.0}, "sweep: option: must be one of .*, got 'temperature'"),
        ({"seed": []}, "sweep: seed must have a value, got none"),
        ({"seed": -1}, "sweep: seed must be at least 0, got -1"),
        ({"seed": 1.5}, "sweep: seed must be a whole number, got 1.5"),
        ({"seed": True}, "sweep: seed must be a whole number, got True"),
        ({"epochs": "many"}, "sweep: epochs must be int or NoneType, got 'many'"),
        ({"epochs": [[1, 2]]}, "sweep: epochs must be int or NoneType, got "),
        ({"epochs": 0}, "train: epochs must be at least 1, got 0"),
        ({"width": 0}, "bilstm: width must be at least 1, got 0"),
        ({"width": "wide"}, "bilstm: width must be int, got 'wide'"),
        ({"loss": "kl", "temperature": 0}, "kl: temperature must be above 0 and finite, got 0"),
        ({"learning_rate": {"low": 0.1, "high": 0.2}}, "learning_rate must be values, got a range: .* --random N"),
    ],
)
def test_what_no_student_can_have_is_one_line(grid, message):
    with pytest.raises(StillhouseError, match=message) as refused:
        candidates([grid])
    assert "\n" not in str(refused.value)


# Draws.

RANGES = {
    "student": ["bag", "bilstm"],
    "learning-rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "dropout": {"low": 0.0, "high": 0.5},
    "width": {"low": 16, "high": 256, "log": True},
    "epochs": {"low": 1, "high": 3},
    "seed": {"low": 0, "high": 1000},
    "schedule": ["linear", "cosine"],
}


def test_draws_are_the_same_each_time_and_others_with_another_seed():
    one, same, other = (candidates([RANGES], 20, seed) for seed in (3, 3, 4))
    assert one == same
    assert [each.name for each in one] == [each.name for each in same]
    assert not {each.name for each in one} & {each.name for each in other}
    # More draws begin with the same ones, so a sweep can be made larger.
    assert candidates([RANGES], 25, 3)[:20] == one


def test_draws_lie_in_their_ranges_and_whole_numbers_stay_whole():
    found = candidates([RANGES], 400, 0)
    assert len(found) == 400
    rates = np.array([each.training.learning_rate for each in found])
    assert ((rates >= 1e-4) & (rates <= 1e-1)).all()
    # Evenly by magnitude: each of the three tens has a third, give or take five standard errors.
    share = np.histogram(np.log10(rates), [-4, -3, -2, -1])[0] / 400
    assert np.abs(share - 1 / 3).max() < 5 * math.sqrt(2 / 9 / 400)
    dropouts = np.array([each.options["dropout"] for each in found])
    assert ((dropouts >= 0) & (dropouts <= 0.5)).all()
    assert abs(dropouts.mean() - 0.25) < 5 * 0.5 / math.sqrt(12 * 400)
    widths = [each.options["width"] for each in found if each.options["student"] == "bilstm"]
    assert all(isinstance(width, int) and 16 <= width <= 256 for width in widths)
    assert 100 < len(widths) < 300
    assert {each.training.schedule for each in found} == {"linear", "cosine"}


def test_of_few_whole_numbers_each_is_drawn_as_often():
    found = candidates([{"student": "bag", "epochs": {"low": 1, "high": 3}, "seed": list(range(100_000))}], 1500, 0)
    counts = Counter(each.training.epochs for each in found)
    assert sorted(counts) == [1, 2, 3]
    # Five standard errors of a share of a third.
    assert all(abs(count / len(found) - 1 / 3) < 5 * math.sqrt(2 / 9 / len(found)) for count in counts.values())


def test_values_and_ranges_may_stand_in_one_list():
    grid = {"student": "bag", "dropout": [0.0, {"low": 0.3, "high": 0.4}]}
    drawn = {each.architecture.dropout for each in candidates([grid], 30, 0)}
    assert 0.0 in drawn
    assert all(value == 0.0 or 0.3 <= value <= 0.4 for value in drawn)


def test_draws_that_are_the_same_merge_and_each_grid_has_its_own():
    assert len(candidates([{"student": ["bag", "cnn"]}], 50, 0)) == 2
    grids = [{"student": "bag", "dropout": {"low": 0.0, "high": 1.0}}] * 2
    assert len(candidates(grids, 3, 0)) == 6


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"low": 1}, "dropout must be a range such as {low = 1e-4, high = 1e-2, log = true}, got "),
        ({"low": 1, "high": 0}, "dropout must be a range such as"),
        ({"low": 0.1, "high": 0.1}, "dropout must be a range such as"),
        ({"low": "a", "high": "b"}, "dropout must be a range such as"),
        ({"low": True, "high": 2}, "dropout must be a range such as"),
        ({"low": 0.1, "high": 0.2, "step": 1}, "dropout must be a range such as"),
        ({"low": 0.0, "high": math.inf}, "dropout must be a range such as"),
        ({"low": -math.inf, "high": 0.5}, "dropout must be a range such as"),
        ({"low": math.nan, "high": 0.5}, "dropout must be a range such as"),
        ({"low": 0.0, "high": 0.5, "log": True}, "dropout must be above 0 for log = true, got 0.0"),
        ({"low": 0.0, "high": 5.0}, "bilstm: dropout must be between 0 and 1, got "),
    ],
)
def test_a_range_that_is_none_is_one_line(value, message):
    with pytest.raises(StillhouseError, match=message) as refused:
        candidates([{"dropout": value}], 20, 0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("draws", [0, -1])
def test_as_many_draws_as_none_are_refused(draws):
    with pytest.raises(StillhouseError, match=f"random must be at least 1, got {draws}"):
        candidates([{}], draws)


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 5000 + "]" * 5000])
def test_a_file_that_only_a_parser_could_choke_on_is_one_line(tmp_path, text):
    (tmp_path / "grid.toml").write_text(text)
    with pytest.raises(StillhouseError, match=r"grid\.toml: must be TOML: "):
        read_grid(tmp_path / "grid.toml")


@pytest.mark.parametrize(("seed", "says"), [(-1, "at least 0, got -1"), (2**63, "at most 9223372036854775807")])
def test_seeds_that_no_generator_takes_are_refused(seed, says):
    with pytest.raises(StillhouseError, match=f"sweep: seed must be {says}"):
        candidates([{"seed": seed}])
    with pytest.raises(StillhouseError, match=f"seed must be {says}"):
        candidates([{}], 1, seed)
