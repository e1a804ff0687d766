"""The pages in docs are true: their commands and their Python run as printed, and their recipes load."""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
import skops.io
from conftest import ROOT
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from augment import load_recipe
from augment.recipe import published
from students import architectures, objectives
from students.grid import candidates, read_grid
from transferset.parameters import discover

PAGES = sorted((ROOT / "docs").glob("*.md"))
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


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
def test_its_commands_run_as_printed(page, folder, shared):
    for number, block in enumerate(blocks(page, "toml")):
        (folder / ("mine.toml" if number == 0 else f"mine-{number}.toml")).write_text(block)
    command = folder / "bin" / "stillhouse"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stillhouse "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    lines = [line.partition("  #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    for line in filter(None, lines):
        done = subprocess.run(line, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr[-2000:])
    # The Python of a page reads what its commands made.
    (folder / "data").symlink_to(ROOT / "data")
    env["HF_HOME"] = str(folder / "hub")
    for block in blocks(page, "python"):
        pytest.importorskip("datasets") if "import Dataset" in block else None
        python = [sys.executable, "-c", block]
        done = subprocess.run(python, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (block, done.stderr[-2000:])


@EACH
def test_its_recipes_and_grids_load(page, tmp_path):
    for block in blocks(page, "toml"):
        (tmp_path / "one.toml").write_text(block)
        if page.stem == "train":
            assert candidates(read_grid(tmp_path / "one.toml"))
        else:
            assert load_recipe(tmp_path / "one.toml").steps


def test_every_student_and_loss_has_a_line():
    text = (ROOT / "docs" / "train.md").read_text()
    for name in [*architectures(), *objectives()]:
        assert f"`{name}`" in text, name


def test_every_augmenter_and_recipe_has_a_line():
    text = (ROOT / "docs" / "augment.md").read_text()
    for name in [*discover("augment", "fit"), *published()]:
        assert f"| `{name}` |" in text, name
