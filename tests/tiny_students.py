"""Students of every kind, small and with random weights that make their answers differ."""

from __future__ import annotations

import pyarrow as pa
import torch

from students import Student, load_architecture
from students._config import Config
from students._features import learn_features
from students._words import Vocabulary
from transferset import Task

WORDS = ("film", "good", "bad", "a", "the", "plot", "fine", "dull", "x")
TEXTS = ["good film", "", "the plot , a dull film !", "bad", "fine fine fine fine fine", "[MASK] film", "unheard of x"]
SIZES = {
    "bilstm": {"width": 8, "hidden": 8, "vector_width": 8},
    "bag": {"hidden": 8, "vector_width": 8},
    "cnn": {"filters": 4, "hidden": 8, "vector_width": 8},
    "mlp": {"width": 8},
}
TARGETS = {"classification": ("neg", "pos", "so so"), "multilabel": ("a", "b", "c"), "regression": ()}
#: Features of every type, each with a missing one.
TABLE = pa.table(
    {
        "size": [0.5, -3.25, None, 1e6, 7.0, 2.0],
        "count": [3, 1, 4, None, 5, 9],
        "sure": [True, False, None, True, True, False],
        "colour": ["red", "blue", "red", "", "green", None],
    }
)


def task_of(kind="text", target="classification", classes=None) -> Task:
    inputs = {"text": ("text",), "pair": ("one", "other"), "features": ("size", "count", "sure", "colour")}[kind]
    return Task(kind, inputs, "label", target, TARGETS[target] if classes is None else classes)


def make_student(name="bag", kind="text", target="classification", classes=None, output="logits", max_tokens=256):
    """A student; of embeddings, one of five numbers."""
    task = task_of(kind, target, classes)
    texts = Vocabulary(WORDS, "[MASK]", max_tokens=max_tokens)
    encoding = learn_features([TABLE], task) if kind == "features" else texts
    width = 5 if output == "embedding" else task.outputs
    architecture = load_architecture(name, SIZES.get(name, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = architecture.build(encoding, task, width)
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(2)
    return Student(Config(task, encoding, name, dict(SIZES.get(name, {})), output, width, {}), model)


def rows_of(task: Task, texts=TEXTS) -> pa.Table:
    """Rows of a task; of one that reads texts, these."""
    if task.kind == "features":
        return TABLE
    columns = [texts, [*texts[1:], *texts[:1]]]
    return pa.table({name: pa.array(each, pa.string()) for name, each in zip(task.inputs, columns, strict=False)})
