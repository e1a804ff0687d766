"""Short reviews, a fine-tuned encoder as the teacher, a small LSTM as the student."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from augment import augment_file, load_recipe
from label import load_teacher
from stillhouse.teach import Teaching, teach
from students import Training, load_architecture
from transferset import Source, StillhouseError, Task

from ._stages import Plan, ask, compare, stage
from .table import Line

COPIES = 20
_TASK = Task("text", ("text",), "label")
_TEACHING = Teaching(epochs=10, learning_rate=1e-4)
_PLANS = (
    Plan("gold labels", "gold", Training(epochs=30, batch_size=32)),
    Plan("transfer set", "mse", Training(epochs=8, batch_size=128)),
)


def reviews(out: Path, encoder: Path, seed: int) -> list[Line]:
    """Runs every stage into ``out``; the teacher learns from the labelled reviews, the student from all of them."""
    data = sample()
    with stage("reviews 1. a teacher: all-MiniLM-L6-v2, fine-tuned on the labelled reviews"):
        teach(Source(data / "train.tsv"), _TASK, str(encoder), out / "teacher", _TEACHING, seed, progress=True)
    with stage("reviews 2. a transfer set: every review and its augmented copies"):
        recipe = load_recipe("tang2019").adjusted({"pos": {"tagger": "classes"}})
        augment_file(Source(data / "train.tsv"), _TASK, out / "T", recipe, COPIES, seed, progress=True)
    with stage("reviews 3. the logit cache: the teacher labels each distinct text once"):
        teacher = load_teacher(str(out / "teacher"))
        ask(out, teacher, str(out / "teacher"), data / "test.tsv")
    with stage("reviews 4. two students: one of the gold labels, one of the transfer set"):
        files = [out / "teacher" / name for name in ("model.safetensors", "config.json", "tokenizer.json")]
        return compare(out, teacher, files, data / "test.tsv", load_architecture("bilstm", {}), _PLANS, seed)


def sample() -> Path:
    """The folder of the reviews: in a checkout, or where they were installed."""
    beside = Path(__file__).parents[2] / "data" / "reviews"
    installed = Path(sysconfig.get_path("data")) / "share" / "stillhouse" / "reviews"
    folder = beside if beside.is_dir() else installed
    if not folder.is_dir():
        raise StillhouseError(f"quickstart: the sample must be in {installed}, got nothing there: install again")
    return folder
