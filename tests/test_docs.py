"""The pages in docs are true: their commands and their Python run as printed, and their recipes load."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise

import pytest
import skops.io
from conftest import ROOT
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from augment import load_recipe
from students.grid import candidates, read_grid

PAGES = sorted((ROOT / "docs").glob("*.md"))
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
#: Pages whose commands tag words with NLTK, for which there must be its data.
TAGGED = ("augment", "label")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def steps(page):
    """The lines of shell and the blocks of Python of a page, in its order."""
    for language, block in re.findall(r"```(sh|python)\n(.*?)```", page.read_text(), re.DOTALL):
        if language == "sh":
            lines = (line.partition("  #")[0].strip() for line in block.splitlines())
            yield from (("sh", line) for line in lines if line)
        else:
            yield "python", block


@pytest.fixture
def folder(tmp_path, labelled_file, tiny_masked_lm, tiny_teacher):
    """A directory with the files that the pages name."""
    rows = [line.split(",") for line in labelled_file.read_text().splitlines()[1:]]
    (tmp_path / "train.tsv").write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n" + "".join(f"so {text}\t{each}\n" for text, each in rows[:50]))
    pairs = pairwise(rows)
    (tmp_path / "pairs.tsv").write_text(
        "first\tsecond\tsame\n" + "".join(f"{a}\t{b}\t{int(x == y)}\n" for (a, x), (b, y) in pairs)
    )
    table = "".join(f"{number % 7},{number * 0.5},{'?' if number % 5 else 'x'},{number % 2}\n" for number in range(40))
    (tmp_path / "table.csv").write_text("a,b,c,class\n" + table)
    shutil.copytree(tiny_masked_lm, tmp_path / "my-masked-lm")
    shutil.copytree(tiny_teacher, tmp_path / "my-bert")
    (tmp_path / "rules.py").write_text("".join(blocks(ROOT / "docs" / "label.md", "py")))
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(*zip(*rows, strict=True))
    skops.io.dump(estimator, tmp_path / "model.skops")
    return tmp_path


@EACH
def test_its_commands_and_its_python_run_as_printed(page, folder, request):
    if page.stem in TAGGED:
        request.getfixturevalue("shared")
    for number, block in enumerate(blocks(page, "toml")):
        (folder / ("mine.toml" if number == 0 else f"mine-{number}.toml")).write_text(block)
    (folder / "steps.json").write_text(json.dumps(list(steps(page))))
    command = folder / "bin" / "stillhouse"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stillhouse "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "hub")}
    (folder / "data").symlink_to(ROOT / "data")
    runner = [sys.executable, ROOT / "tests" / "page_runner.py", "steps.json"]
    done = subprocess.run(runner, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@EACH
def test_its_recipes_and_grids_load(page, tmp_path):
    for block in blocks(page, "toml"):
        (tmp_path / "one.toml").write_text(block)
        if "[[step]]" in block:
            assert load_recipe(tmp_path / "one.toml").steps
        elif "student" in tomllib.loads(block):
            assert candidates(read_grid(tmp_path / "one.toml"))
