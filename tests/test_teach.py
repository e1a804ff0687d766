"""Fine-tuning a teacher: what it learns from, that it can be killed, and that the labeller takes what comes out."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import ROOT, WORDS, one_line_error, stillhouse
from safetensors.torch import load_file

from augment import augment_file
from label import Request, label, load_teacher
from stillhouse import _fine_tune
from stillhouse._labelled import labelled, parted
from stillhouse.teach import Teaching, own_names, teach
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, content_keys

TASK = Task("text", ("text",), "label")
SHORT = Teaching(epochs=2, batch_size=8, learning_rate=5e-3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, tiny_teacher):
    """A one-layer encoder over the 31 words without a head; its weights are small enough to learn with."""
    import transformers

    folder = tmp_path_factory.mktemp("encoder")
    config = transformers.AutoConfig.from_pretrained(
        tiny_teacher, num_hidden_layers=1, initializer_range=0.2, hidden_dropout_prob=0.0, architectures=None
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_teacher).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def films(tmp_path, labelled_file):
    """The first 60 films; every third has no label."""
    head, *rows = labelled_file.read_text().splitlines()[:61]
    lines = [row if n % 3 else row.split(",")[0] + "," for n, row in enumerate(rows)]
    (tmp_path / "films.csv").write_text("\n".join([head, *lines]) + "\n")
    return Source(tmp_path / "films.csv")


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def rows_file(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(path)


def test_the_teacher_learns_from_the_labelled_rows_and_the_labeller_takes_it(tmp_path, encoder, films, no_sync):
    taught = teach(films, TASK, encoder, tmp_path / "M", replace(SHORT, epochs=20))
    assert (taught.rows, taught.unlabelled, taught.watched, taught.best_epoch) == (40, 20, 0, 20)
    assert taught.task.classes == ("neg", "pos")
    config = json.loads((tmp_path / "M" / "config.json").read_text())
    assert config["id2label"] == {"0": "neg", "1": "pos"}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["M", "films.csv"]
    augment_file(films, TASK, tmp_path / "T", "tang2019", 0, workers=1)
    transfer = TransferSet.open(tmp_path / "T")
    label(transfer, load_teacher(str(tmp_path / "M")), tmp_path / "L")
    rows = pa.concat_tables(list(transfer.tables()))
    rows = rows.filter(rows["label"].is_valid())
    logits = LogitCache.open(tmp_path / "L").logits(content_keys(TASK, rows), transfer.task)
    right = np.array(["neg", "pos"])[logits.argmax(1)] == np.array(rows["label"].to_pylist())
    assert right.mean() > 0.9


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, encoder, films, no_sync):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        teach(films, TASK, encoder, tmp_path / name, SHORT, seed)
    files = sorted(each.name for each in (tmp_path / "a").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "teaching.json"} <= set(files)
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert weights(tmp_path / "a") != weights(tmp_path / "c")
    assert b"/" + tmp_path.name.encode() not in b"".join(
        (tmp_path / "a" / file).read_bytes() for file in files if file.endswith(".json")
    )


def test_the_global_generators_are_as_they_were(tmp_path, encoder, films, no_sync):
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    teach(films, TASK, encoder, tmp_path / "M", replace(SHORT, epochs=1))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[:2]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("stop", [2, 5, 7])
@pytest.mark.parametrize("watching", [False, True])
def test_a_killed_run_goes_on_and_ends_in_the_same_weights(
    tmp_path, encoder, films, stop, watching, monkeypatch, no_sync
):
    teaching = replace(SHORT, epochs=3, holdout=0.25 if watching else 0.0)
    whole = teach(films, TASK, encoder, tmp_path / "whole", teaching)
    monkeypatch.setattr(_fine_tune, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with monkeypatch.context() as patch:

        def die(self, args, state, control, **_):
            if state.global_step == stop:
                raise KeyboardInterrupt

        patch.setattr(_fine_tune._Watch, "on_save", die)
        with pytest.raises(KeyboardInterrupt):
            teach(films, TASK, encoder, tmp_path / "M", teaching)
    assert not (tmp_path / "M").exists()
    torn = tmp_path / "M.unfinished" / f"checkpoint-{stop + 1}"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    seen = []
    monkeypatch.setattr(
        _fine_tune._Watch, "on_save", lambda self, args, state, *_, **__: seen.append(state.global_step)
    )
    taught = teach(films, TASK, encoder, tmp_path / "M", teaching)
    assert min(seen) == stop + 1
    assert taught == whole
    assert weights(tmp_path / "M") == weights(tmp_path / "whole")
    assert not (tmp_path / "M.unfinished").exists()


def test_the_epoch_that_does_best_on_the_dev_file_is_kept(tmp_path, encoder, labelled_file, films, no_sync):
    dev = Source(labelled_file)
    taught = teach(films, TASK, encoder, tmp_path / "M", replace(SHORT, epochs=6), dev=dev)
    figures = [each["dev_accuracy"] for each in taught.history]
    assert len(set(figures)) > 1, "the epochs must differ for the best to mean something"
    assert taught.best_epoch == 1 + int(np.argmax(figures))
    assert taught.watched == 200
    loaded = load_teacher(str(tmp_path / "M"), {"dtype": "float32"}).load(Request(taught.task))
    rows = labelled(dev, taught.task)
    logits = loaded.answer(rows.table.select(["text"])).signals["logits"]
    assert (logits.argmax(1) == rows.targets()).mean() == max(figures)


def test_rows_held_out_are_a_share_of_the_texts_and_not_learned_from(tmp_path):
    rows = [{"text": f"film {n // 2}", "label": "ab"[n // 2 % 2]} for n in range(80)]
    examples = labelled(rows_file(tmp_path / "twice.jsonl", rows), TASK)
    left, watched = parted(examples, 0.25, 0)
    assert (len(left), len(watched)) == (60, 20)
    assert not set(left.texts()[0]) & set(watched.texts()[0])
    assert parted(examples, 0.25, 1)[1].texts() != watched.texts()


def test_several_labels_scores_and_pairs(tmp_path, encoder, no_sync):
    texts = [" ".join(WORDS[n % 25 : n % 25 + 4]) for n in range(24)]
    kinds = {
        "multilabel": (TASK, [{"text": text, "label": ["a", "b", "c"][: n % 4]} for n, text in enumerate(texts)]),
        "regression": (TASK, [{"text": text, "label": n / 10 if n % 2 else None} for n, text in enumerate(texts)]),
        "classification": (
            Task("pair", ("text", "other"), "label"),
            [{"text": text, "other": texts[-n], "label": n % 3} for n, text in enumerate(texts)],
        ),
    }
    for target, (task, rows) in kinds.items():
        source, out = rows_file(tmp_path / f"{target}.jsonl", rows), tmp_path / target
        taught = teach(source, replace(task, target=target), encoder, out, replace(SHORT, holdout=0.25))
        metric = {"regression": "dev_pearson", "multilabel": "dev_f1_micro"}.get(target, "dev_accuracy")
        assert metric in taught.history[0]
        table = pa.table({name: [row[name] for row in rows] for name in task.inputs})
        loaded = load_teacher(str(out)).load(Request(taught.task))
        assert loaded.answer(table).signals["logits"].shape == (24, taught.task.outputs)
        assert loaded.description.classes == taught.task.classes
        assert taught.unlabelled == (12 if target == "regression" else 0)


def test_several_labels_and_scores_are_learned(tmp_path, encoder, no_sync):
    texts = [" ".join(WORDS[(n * 7 + each) % 25] for each in range(3)) for n in range(40)]
    flags = [{"text": text, "label": [name for name in ("film", "good") if name in text.split()]} for text in texts]
    task = replace(TASK, target="multilabel", classes=("film", "good"))
    teach(rows_file(tmp_path / "flags.jsonl", flags), task, encoder, tmp_path / "F", replace(SHORT, epochs=30))
    loaded = load_teacher(str(tmp_path / "F")).load(Request(task))
    logits = loaded.answer(pa.table({"text": texts})).signals["logits"]
    wanted = np.array([[name in row["label"] for name in task.classes] for row in flags])
    assert ((logits > 0) == wanted).mean() > 0.95
    scores = [{"text": text, "label": 3.0 + len(text) / 10} for text in texts]
    task = replace(TASK, target="regression")
    teach(rows_file(tmp_path / "scores.jsonl", scores), task, encoder, tmp_path / "R", replace(SHORT, epochs=40))
    said = (
        load_teacher(str(tmp_path / "R")).load(Request(task)).answer(pa.table({"text": texts})).signals["logits"][:, 0]
    )
    assert np.corrcoef(said, [row["label"] for row in scores])[0, 1] > 0.8


def test_a_classifier_of_other_classes_gets_a_new_head(tmp_path, tiny_teacher, no_sync):
    rows = [{"text": text, "label": "abc"[n % 3]} for n, text in enumerate(WORDS[:12])]
    source = rows_file(tmp_path / "three.jsonl", rows)
    teach(source, TASK, str(tiny_teacher), tmp_path / "M", replace(SHORT, epochs=1))
    assert load_file(tmp_path / "M" / "model.safetensors")["classifier.weight"].shape == (3, 16)


def test_the_same_call_again_does_nothing_and_another_is_refused(tmp_path, encoder, films, no_sync):
    taught = teach(films, TASK, encoder, tmp_path / "M", SHORT)
    made = (tmp_path / "M" / "model.safetensors").stat().st_mtime_ns
    assert teach(films, TASK, encoder, tmp_path / "M", SHORT) == taught
    assert (tmp_path / "M" / "model.safetensors").stat().st_mtime_ns == made
    with pytest.raises(StillhouseError, match="got another teacher: use --force"):
        teach(films, TASK, encoder, tmp_path / "M", SHORT, seed=1)
    assert "model.safetensors" in own_names(tmp_path / "M")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert own_names(tmp_path / "other") == frozenset()
    with pytest.raises(StillhouseError, match="something else than a teacher"):
        teach(films, TASK, encoder, tmp_path / "other", SHORT)
    (tmp_path / "empty").mkdir()
    teach(films, TASK, encoder, tmp_path / "empty", replace(SHORT, epochs=1))
    assert (tmp_path / "empty" / "config.json").is_file()


def test_what_another_run_left_unfinished_is_not_lost_without_force(tmp_path, encoder, films, monkeypatch, no_sync):
    with monkeypatch.context() as patch:
        patch.setattr(_fine_tune, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(_fine_tune._Watch, "on_save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            teach(films, TASK, encoder, tmp_path / "M", SHORT)
    left = sorted((tmp_path / "M.unfinished").rglob("*"))
    with pytest.raises(StillhouseError, match=r"M\.unfinished: must be of the same run.*--force"):
        teach(films, TASK, encoder, tmp_path / "M", SHORT, seed=1)
    assert sorted((tmp_path / "M.unfinished").rglob("*")) == left
    teach(films, TASK, encoder, tmp_path / "fresh", SHORT, seed=1)
    teach(films, TASK, encoder, tmp_path / "M", SHORT, seed=1, force=True)
    assert weights(tmp_path / "M") == weights(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a film", None), ("a plot", None)], r"column 'label' must hold labels, got none in 2 rows"),
        ([("a film", "pos"), ("a plot", "pos"), ("dull", None)], r"must have at least 2 classes, got pos"),
        ([], "got none|empty"),
    ],
)
def test_rows_that_teach_nothing_are_an_error(tmp_path, encoder, rows, message):
    source = rows_file(tmp_path / "rows.jsonl", [{"text": text, "label": label} for text, label in rows])
    with pytest.raises(StillhouseError, match=message):
        teach(source, TASK, encoder, tmp_path / "M", SHORT)
    assert not list(tmp_path.glob("M*"))


def test_other_mistakes_are_found_before_any_work(tmp_path, encoder, films, labelled_file):
    one = rows_file(tmp_path / "one.jsonl", [{"text": "a film", "label": "pos"}, {"text": "a plot", "label": "pos"}])
    other = rows_file(tmp_path / "dev.jsonl", [{"text": "a film", "label": "pos"}, {"text": "a plot", "label": "good"}])
    empty = rows_file(tmp_path / "empty.jsonl", [{"text": "a film", "label": None}])
    (tmp_path / "config-only").mkdir()
    (tmp_path / "config-only" / "config.json").write_text('{"model_type": "bert"}')
    calls = [
        (
            {"source": one, "task": replace(TASK, classes=("neg", "pos"))},
            "must show at least 2 classes, got 2 rows of pos",
        ),
        ({"dev": other}, r"dev.jsonl: row 2, column 'label' must hold one of the classes neg, pos, got 'good'"),
        ({"dev": empty}, r"empty.jsonl: column 'label' must hold labels"),
        ({"dev": films, "teaching": replace(SHORT, holdout=0.1)}, "holdout must be 0 where there is a dev file"),
        ({"teaching": replace(SHORT, holdout=0.001)}, "holdout must leave rows"),
        ({"teaching": replace(SHORT, max_length=33)}, "max-length must be between 3 and 32, got 33"),
        ({"model": "./nowhere"}, "nowhere: must be the directory of a Hugging Face model, got nothing there"),
        ({"model": str(tmp_path / "config-only")}, "must be a pretrained model that can classify texts"),
        ({"task": replace(TASK, label=None)}, "say --label COLUMN"),
        ({"task": replace(TASK, label="lable")}, "did you mean 'label'"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 2**32}, "seed must be"),
    ]
    for given, message in calls:
        arguments = {"source": films, "task": TASK, "model": encoder, "teaching": SHORT, **given}
        with pytest.raises(StillhouseError, match=message):
            teach(out=tmp_path / "M", **arguments)
        assert not (tmp_path / "M").exists()
    for wrong, message in (
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning-rate must be above 0"),
        ({"weight_decay": -1.0}, "weight-decay"),
        ({"warmup": 1.5}, "warmup must be between 0 and 1"),
        ({"holdout": 1.0}, "holdout must be at least 0 and below 1"),
        ({"max_length": 0}, "max-length must be at least 1"),
    ):
        with pytest.raises(StillhouseError, match=message):
            Teaching(**wrong)


def test_a_rate_that_breaks_the_weights_is_an_error_and_leaves_no_teacher(tmp_path, encoder, films, no_sync):
    with pytest.raises(StillhouseError, match=r"weights must stay finite.*--learning-rate below 1e\+38"):
        teach(films, TASK, encoder, tmp_path / "M", replace(SHORT, learning_rate=1e38, warmup=0.0))
    assert not (tmp_path / "M").exists()


def test_without_accelerate_it_says_what_to_install(tmp_path, encoder, films, monkeypatch):
    monkeypatch.setattr("stillhouse.teach.importlib.util.find_spec", lambda name: None)
    with pytest.raises(StillhouseError, match=r"pip install 'stillhouse\[teach\]'"):
        teach(films, TASK, encoder, tmp_path / "M", SHORT)


def hub_error(name, tmp_path, **options):
    """What is said of a name, and after how many seconds, with a cache of its own and a hub as the options say."""
    code = (
        "import time, huggingface_hub; from stillhouse._hub import model_folder; huggingface_hub.HfApi;"
        "begun = time.monotonic()\n"
        f"try: model_folder({name!r})\n"
        "except ValueError as error: print(error, time.monotonic() - begun, sep='|')"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0", **options}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    said, seconds = done.stdout.strip().rsplit("|", 1)
    return said, float(seconds)


def test_a_hub_that_is_out_of_reach_is_said_so_soon(tmp_path):
    said, _ = hub_error("owner/model", tmp_path, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in said
    with socket.socket() as server:
        # It takes calls and never answers.
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        said, seconds = hub_error("owner/model", tmp_path, HF_ENDPOINT=address, NO_PROXY="127.0.0.1")
    assert "owner/model: must be a directory, or one on the hub" in said
    assert "no answer" in said
    assert seconds < 20


def test_two_processes_do_not_teach_one_teacher(tmp_path, encoder, films, monkeypatch, no_sync):
    begun, go_on, errors = threading.Event(), threading.Event(), []

    def wait(self, *_, **__):
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(_fine_tune._Watch, "on_train_begin", wait)
    first = threading.Thread(target=lambda: errors.append(_said(films, encoder, tmp_path / "M")))
    first.start()
    try:
        assert begun.wait(60)
        assert "got another process writing to it" in _said(films, encoder, tmp_path / "M")
    finally:
        go_on.set()
        first.join()
    assert errors == [""]


def _said(films, encoder, out):
    try:
        teach(films, TASK, encoder, out, replace(SHORT, epochs=1))
    except StillhouseError as error:
        return str(error)
    return ""


def test_the_command_end_to_end(tmp_path, encoder, films):
    arguments = ("teach", films.path, "--text", "text", "--label", "label", "--model", encoder, "--epochs", 2)
    done = stillhouse(*arguments, "--holdout", 0.2, "--out", tmp_path / "M")
    assert done.returncode == 0, done.stderr
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "fine-tuned on 32 rows of 2 classes (20 without a label left out)" in out
    assert "on 8 rows: dev_" in out
    assert "fine-tuning: 100%" in err
    assert "texts/s" in err
    assert "loss" not in err.replace("dev_loss", ""), "the Trainer itself is quiet"
    again = stillhouse(*arguments, "--seed", 1, "--out", tmp_path / "M")
    assert "--force" in one_line_error(again)
    forced = stillhouse(*arguments, "--seed", 1, "--out", tmp_path / "M", "--force")
    assert forced.returncode == 0, forced.stderr
    assert not (tmp_path / "M.replaced").exists()
    shutil.rmtree(tmp_path / "M")
    nothing = stillhouse("teach", films.path, "--label", "label", "--model", encoder, "--out", tmp_path / "M")
    assert "say --text with one of text" in one_line_error(nothing)
