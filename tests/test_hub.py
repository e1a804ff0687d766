"""Students on the Hub: a repository holds what a directory holds."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from tiny_students import make_student, rows_of

from students import Student
from students._hub import FILES
from transferset import StillhouseError

METRICS = {"history": [{"epoch": 1, "loss": 0.5, "dev_accuracy": 0.75}], "best_epoch": 1}


class Hub:
    """A hub in a folder, with the methods of ``HfApi`` that publishing needs."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def __call__(self, token=None):
        self.asked.append({"token": token})
        return self

    def create_repo(self, repo_id, *, private, exist_ok):
        assert exist_ok
        self.asked.append({"private": private})
        (self.folder / "me" / repo_id).mkdir(parents=True)
        return SimpleNamespace(repo_id=f"me/{repo_id}")

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.asked.append(options)
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        return f"https://hub/{repo_id}/commit/1"

    def snapshot_download(self, name, *, allow_patterns, **options):
        self.asked.append(options)
        assert allow_patterns == list(FILES)
        return str(self.folder / name)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    made = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_a_saved_student_is_loaded_again_with_its_metrics(tmp_path):
    student = make_student("bilstm", "pair")
    student.metrics = METRICS
    student.save_pretrained(tmp_path / "S")
    loaded = Student.from_pretrained(tmp_path / "S")
    assert loaded.config == student.config
    assert loaded.metrics == METRICS
    assert np.array_equal(loaded.outputs(rows_of(student.task)), student.outputs(rows_of(student.task)))
    assert sorted(each.name for each in (tmp_path / "S").iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
        "vocabulary.json",
    ]
    assert "| dev accuracy | 0.7500 |" in (tmp_path / "S" / "README.md").read_text()


def test_a_student_that_is_pushed_is_pulled(hub):
    student = make_student()
    student.metrics = METRICS
    address = student.push_to_hub("mine", private=True, token="t", branch="new", commit_message="First")
    assert address == "https://hub/me/mine/commit/1"
    assert hub.asked == [
        {"token": "t"},
        {"private": True},
        {"commit_message": "First", "revision": "new", "create_pr": None},
    ]
    found = Student.from_pretrained("me/mine", revision="new")
    assert found.config == student.config
    assert found.metrics == METRICS
    assert hub.asked[-1]["revision"] == "new"


def test_the_last_weights_are_pulled_too(hub):
    student, folder = make_student(), hub.folder / "me" / "mine"
    student.save(folder, METRICS, last=student.model.state_dict())
    assert {each.name for each in folder.iterdir()} <= set(FILES)
    assert "last.safetensors" in FILES


def test_saving_in_place_keeps_the_student_whole(tmp_path):
    first, second = make_student("bag"), make_student("cnn")
    first.save_pretrained(tmp_path / "S")
    second.save_pretrained(tmp_path / "S")
    assert Student.from_pretrained(tmp_path / "S").config.student == "cnn"
    assert json.loads((tmp_path / "S" / "config.json").read_text())["student"] == "cnn"


@pytest.mark.parametrize("name", ["no/such-student", "no such name", "", "../x/y/z"])
def test_what_is_not_there_is_one_line(monkeypatch, tmp_path, name):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StillhouseError, match="must be a student's directory or a repository of the Hugging") as error:
        Student.from_pretrained(name or "-", cache_dir=tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_a_repository_of_something_else_is_refused(hub, tmp_path):
    Path(hub.folder / "some" / "model").mkdir(parents=True)
    with pytest.raises(StillhouseError, match="must be a student's directory"):
        Student.from_pretrained("some/model")
