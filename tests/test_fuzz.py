"""Spoiled inputs of every kind: whole output or one line, in time, and nothing touched that is not ours.

``tests/fuzzing.py`` says what is tried and what is looked at; a case that went wrong is run again by its name with
``python tests/fuzzing.py --seed SEED --only "KIND NUMBER"``.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import ROOT


def fuzz(*arguments: str) -> str:
    """What a run says; it must have found nothing."""
    command = [sys.executable, str(ROOT / "tests" / "fuzzing.py"), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
    return done.stdout


def test_a_few_spoiled_inputs_of_every_kind():
    assert "wrong: {}" in fuzz("--cases", "90", "--seed", "0", "--no-exports")


@pytest.mark.slow
def test_ten_thousand_spoiled_inputs():
    assert "10,000 cases of seed 1" in fuzz("--cases", "10000", "--seed", "1")
