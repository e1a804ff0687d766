"""The model card: front matter that the Hub reads, and nothing said that is not known."""

import math
from types import SimpleNamespace

import pyarrow as pa
import pytest
import yaml
from huggingface_hub import ModelCard
from tiny_students import make_student, task_of

from students._card import card
from students._config import Config
from students._words import Vocabulary
from transferset import Task

MADE_FROM = {
    "transfer": {
        "task": {},
        "recipe": {"name": "tang2019", "step": [{"use": "mask", "rate": 0.1, "token": "[MASK]"}, {"use": "ngram"}]},
        "copies": 6,
        "seed": 3,
        "source": {"rows": 60614, "fingerprint": "8b9d51"},
    },
    "cache": {"teacher": "09cfc8", "dtype": "bfloat16", "classes": ["neg", "pos"]},
    "reading": {"tokens": "words", "lowercase": True},
    "student": {"bilstm": {"width": 8}},
    "objective": {"kl": {"temperature": 2.0, "alpha": 0.5}},
    "training": {"epochs": 4, "patience": None},
    "seed": 11,
    "dev": {"name": "dev.tsv", "content": "ab", "label": None},
    "torch": "2.13.0",
}
METRICS = {
    "history": [
        {"epoch": 1, "loss": 0.5, "dev_accuracy": 0.5, "dev_f1": 0.4},
        {"epoch": 2, "loss": 0.25, "dev_accuracy": 0.8765, "dev_mcc": 0.7, "dev_agreement": 0.9, "dev_loss": 0.1},
        {"epoch": 3, "loss": 0.2, "dev_accuracy": 0.6},
    ],
    "best_epoch": 2,
}


def config_of(task=None, made_from=MADE_FROM, output="logits", width=None, encoding=None):
    task = task or task_of()
    encoding = encoding or Vocabulary(("a", "b"))
    return Config(task, encoding, "bilstm", {"width": 8}, output, width or task.outputs, made_from)


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_it_says_where_a_student_comes_from_and_how_good_it_is():
    computed = {"teacher": "some/teacher", "stillhouse": "1.2.3", "dtype": "bfloat16", "threads": 2}
    text = card(config_of(), METRICS | computed, weights=12345)
    for said in (
        "`some/teacher`, fingerprint 09cfc8, precision bfloat16",
        "60,614 rows, fingerprint 8b9d51",
        "| Copies of each row | 6 |",
        "`tang2019`, `mask` (rate 0.1, token [MASK]), `ngram`",
        "`kl`, temperature 2.0, alpha 0.5",
        "| Training | epochs 4 |",
        "| Weights | 12,345 numbers |",
        "| Seed of the training | 11 |",
        "| Computed in | bfloat16, threads 2 |",
        "| Versions | stillhouse 1.2.3, torch 2.13.0 |",
        "learned to answer as a large one, the *teacher*, does",
        "to augmented copies of its rows, and in part on gold labels.",
        "It repeats its teacher's mistakes",
        "as sure as the teacher's were",
        "| Epoch | 2 of 3 |",
        "| dev accuracy | 0.8765 |",
        "| dev agreement | 0.9000 |",
        "Dev is dev.tsv",
        "first 256 words",
    ):
        assert said in text, said
    assert "None" not in text


@pytest.mark.parametrize("objective", [{"gold": {}}, {"mse": {"alpha": 1.0}}])
def test_of_a_student_of_gold_labels_no_teacher_is_told(objective):
    made_from = {**MADE_FROM, "objective": objective}
    text = card(config_of(made_from=made_from), METRICS | {"teacher": "some/teacher"})
    assert "trained with Stillhouse on the gold labels of a data set. No teacher answered." in text
    assert "Whether its probabilities are calibrated must be measured." in text
    for said in ("some/teacher", "Teacher", "teacher's", "answer as", "distillation"):
        assert said not in text, said


@pytest.mark.parametrize(
    ("objective", "parts"), [({"mse": {"alpha": 0.0}}, False), ({"kl": {"alpha": 0.1}}, True), ({"cosine": {}}, False)]
)
def test_gold_labels_in_part_are_told(objective, parts):
    text = card(config_of(made_from={**MADE_FROM, "objective": objective}), METRICS)
    assert ("and in part on gold labels" in text) == parts


def test_the_hub_reads_the_front_matter():
    data = ModelCard(card(config_of(), METRICS)).data
    assert data.library_name == "stillhouse"
    assert data.pipeline_tag == "text-classification"
    assert "knowledge-distillation" in data.tags
    measured = {each.metric_type: each.metric_value for each in data.eval_results}
    assert measured == {"accuracy": 0.8765, "matthews_correlation": 0.7}, "of the best epoch, those the Hub knows"
    assert {each.dataset_name for each in data.eval_results} == {"dev.tsv"}


@pytest.mark.parametrize(
    "metrics", [{}, {"history": [{"epoch": 1, "loss": math.nan}], "best_epoch": 1}, {"best_epoch": 9}]
)
@pytest.mark.parametrize("made_from", [{}, {"transfer": None, "cache": "?", "objective": {"mse": None}}])
def test_what_is_not_known_is_left_out(metrics, made_from):
    text = card(config_of(made_from=made_from), metrics)
    assert "model-index" not in front(text)
    assert "None" not in text
    assert "## What it was made from" not in text
    ModelCard(text)


@pytest.mark.parametrize(
    ("kind", "target", "output", "pipeline", "title"),
    [
        ("text", "classification", "logits", "text-classification", "one of 3 classes for texts"),
        ("pair", "multilabel", "logits", "text-classification", "any of 3 classes for pairs of texts"),
        ("text", "regression", "logits", "text-classification", "a score for texts"),
        ("text", "classification", "embedding", "feature-extraction", "an embedding of 5 numbers for texts"),
        ("features", "classification", "logits", "tabular-classification", "one of 3 classes for rows of features"),
        ("features", "regression", "logits", "tabular-regression", "a score for rows of features"),
    ],
)
def test_every_kind_of_student_has_its_card(kind, target, output, pipeline, title):
    task = task_of(kind, target)
    text = card(config_of(task, output=output, width=5 if output == "embedding" else None), {})
    assert front(text)["pipeline_tag"] == pipeline
    assert f"# bilstm: {title}\n" in text
    assert ("Its probabilities" in text) == (output == "logits" and target != "regression")


@pytest.mark.parametrize(
    "name", ['say "hi": #', "a\nb", "|", "`", "\x85\u2028\ufeff\x7f", "日本 \U0001f600", "- x", "\udcff", ""]
)
def test_no_name_breaks_the_card(name):
    task = Task("text", (name or "text",), "label", classes=("pos", name or "neg"))
    text = card(config_of(task, {**MADE_FROM, "dev": {"name": name}}), METRICS | {"teacher": name})
    assert all(each.isprintable() for each in text.split("\n"))
    found = ModelCard(text).data.eval_results[0].dataset_name
    assert found == (name or "rows held out of the transfer set")
    text.encode()


@pytest.mark.parametrize(("name", "kind"), [("bag", "text"), ("bag", "pair"), ("mlp", "features")])
def test_the_lines_of_python_in_it_run(tmp_path, monkeypatch, capsys, name, kind):
    student = make_student(name, kind)
    student.save(tmp_path / "student", {})
    text = (tmp_path / "student" / "README.md").read_text()
    assert text == card(student.config, {}, sum(each.numel() for each in student.model.parameters()))
    monkeypatch.chdir(tmp_path)
    exec(text.split("```python\n")[1].split("```")[0], {})
    assert "probabilities" in capsys.readouterr().out


def test_the_example_of_features_has_a_value_of_each_type():
    types = {"size": pa.float64(), "count": pa.int64(), "sure": pa.bool_(), "colour": pa.string()}
    encoding = SimpleNamespace(kind="features", types=types)
    text = card(config_of(task_of("features"), encoding=encoding), {})
    assert 'pa.table({"size": [0.5], "count": [1], "sure": [True], "colour": ["a name"]})' in text
