"""The README is true: its commands run as printed, its Python too, and its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, WORDS

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def shell_lines() -> list[str]:
    lines = [line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture
def folder(tmp_path, tiny_teacher, labelled_file):
    """A directory with the files that the README's commands name."""
    rows = labelled_file.read_text().splitlines()[1:]
    for name in ("train", "dev", "test"):
        lines = ["sentence\tlabel", *(row.replace(",", "\t") for row in rows)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    shutil.copytree(tiny_teacher, tmp_path / "my-fine-tuned-bert")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    return tmp_path


def environment(folder):
    """Where ``stillhouse`` is this checkout and NLTK has a tagger, if only a tiny one."""
    command = folder / "bin" / "stillhouse"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stillhouse "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(line, folder, env):
    done = subprocess.run(line, shell=True, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr[-2000:])
    return done.stdout


def test_the_commands_for_a_file_of_ones_own_run_as_printed(folder, shared):
    env = environment(folder)
    ours = [line for line in shell_lines() if "stillhouse" in line and not line.startswith(("pip", "make"))]
    assert [line.split("stillhouse ")[1].split()[0] for line in ours] == [
        "augment",
        "label",
        "train",
        "evaluate",
        "predict",
    ]
    outputs = [run(line, folder, env) for line in ours]
    assert "accuracy" in outputs[3]
    assert '"label"' in outputs[4]


def test_the_python_runs_as_printed(folder):
    (block,) = blocks("python")
    (folder / "example.py").write_text(block)
    assert "film" in run(f'"{sys.executable}" example.py', folder, environment(folder))


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = [line.split()[1] for line in shell_lines() if line.startswith("make ")]
    assert set(named) == {"quickstart", "test", "check", "slow"}
    assert all(f"\n{name}:" in makefile for name in named)


def test_the_files_it_names_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"`((?:[a-z]+/)+[A-Za-z.]+)`", README)
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_every_package_and_command_is_in_the_architecture_or_the_changelog():
    architecture, changelog = (ROOT / "ARCHITECTURE.md").read_text(), (ROOT / "CHANGELOG.md").read_text()
    for package in ("transferset", "augment", "label", "students", "stillhouse", "data", "tests", "benchmarks"):
        assert f"`{package}/`" in architecture
    for file in (ROOT / "stillhouse" / "commands").glob("[a-z]*.py"):
        assert f"`{file.stem}`" in changelog


def test_the_sample_has_the_rows_its_page_says():
    for name, total, labelled in (("train", 800, 304), ("test", 520, 520)):
        rows = [line.split("\t") for line in (ROOT / "data" / "reviews" / f"{name}.tsv").read_text().splitlines()[1:]]
        assert (len(rows), sum(label != "" for _, label in rows)) == (total, labelled)
        assert len({text for text, _ in rows}) == total
    assert len(WORDS) == 31
