"""A training run: its steps are those of a plain loop, and however it is interrupted it ends in the same bits."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file
from small_sets import (
    LABELS,
    PAIR,
    RANDOM,
    SHORT,
    SMALL,
    TASK,
    TEXTS,
    cache_of,
    feature_set,
    outputs_of,
    run,
    taught,
    transfer_set,
    untimed,
    weights,
)

from stillhouse import __version__
from students import Student, Training, load_architecture
from students import _run as run_module
from students._judge import Judge
from students._prepare import prepare
from students._run import Run
from students._tokens import Texts
from students._vectors import starting_table
from students.objectives.mse import Mse
from students.trainer import fit
from transferset import Source, StillhouseError

pytestmark = pytest.mark.usefixtures("one_thread", "no_sync")
STUDENTS = {
    "bilstm": SMALL,
    "bag": load_architecture("bag", {"hidden": 8, "vector_width": 8}),
    "cnn": load_architecture("cnn", {"filters": 4, "hidden": 8, "vector_width": 8}),
}
MLP = load_architecture("mlp", {"width": 8, "dropout": 0.1})
#: 50 rows in batches of 16 are four steps an epoch.
THREE = replace(SHORT, epochs=3, weight_decay=0.01)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Transfer sets and caches of single texts, of pairs and of features."""
    folder = tmp_path_factory.mktemp("places")
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    return {
        "text": (transfer_set(folder / "set"), cache_of(folder / "L", TEXTS)),
        "pair": (transfer_set(folder / "pairs", pairs, LABELS, PAIR), cache_of(folder / "P", pairs, task=PAIR)),
        "features": feature_set(folder / "features"),
    }


@pytest.fixture
def every_step(monkeypatch):
    """Checkpoints are written after every step."""
    monkeypatch.setattr(run_module, "CHECKPOINT_SECONDS", 0.0)


def interrupt(patch, step):
    """Ctrl-C comes while the step of that number, from 1, is computed; the rows of each step are gathered."""
    steps, take = [], Run._take_step

    def taken(self, rows):
        steps.append(rows)
        if len(steps) == step:
            raise KeyboardInterrupt
        return take(self, rows)

    patch.setattr(Run, "_take_step", taken)
    return steps


def stopped(out, place, step, *arguments, **options):
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, step)
        with pytest.raises(KeyboardInterrupt):
            run(*place, out, *arguments, **options)


def finished(out, place, *arguments, **options):
    """The rows of the steps that were still to be taken."""
    with pytest.MonkeyPatch.context() as patch:
        steps = interrupt(patch, None)
        run(*place, out, *arguments, **options)
    return steps


def same(one, other):
    assert weights(one) == weights(other)
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.iterdir())
    for name in ("config.json", "vocabulary.json", "features.json", "last.safetensors"):
        if not (one / name).exists():
            continue
        assert (one / name).read_bytes() == (other / name).read_bytes()
    found, wanted = (untimed(json.loads((out / "metrics.json").read_bytes())) for out in (one, other))
    assert found == wanted


# Interrupted and resumed.


@pytest.mark.parametrize(("name", "kind"), [*product(STUDENTS, ("text", "pair")), ("mlp", "features")])
def test_a_run_stopped_in_any_step_goes_on_with_that_step_and_ends_in_the_same_bits(
    places, tmp_path, every_step, name, kind
):
    student = MLP if name == "mlp" else STUDENTS[name]
    whole = finished(tmp_path / "whole", places[kind], THREE, student=student)
    assert len(whole) == 12
    for step in range(2, 13) if (name, kind) == ("bilstm", "text") else (3, 12):
        out = tmp_path / f"S{step}"
        stopped(out, places[kind], step, THREE, student=student)
        rest = finished(out, places[kind], THREE, student=student)
        assert [rows.tolist() for rows in rest] == [rows.tolist() for rows in whole[step - 1 :]]
        same(out, tmp_path / "whole")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_stopped_in_every_step_ends_in_the_same_bits(places, tmp_path, every_step, dtype):
    training = replace(THREE, dtype=dtype, schedule="cosine")
    run(*places["text"], tmp_path / "whole", training)
    for _ in range(11):
        stopped(tmp_path / "S", places["text"], 2, training)
    assert len(finished(tmp_path / "S", places["text"], training)) == 1
    same(tmp_path / "S", tmp_path / "whole")


def test_with_rows_to_watch_and_patience_too(places, tmp_path, every_step):
    training = replace(THREE, epochs=9, holdout=0.3, patience=2)
    _, metrics = run(*places["text"], tmp_path / "whole", training)
    steps = len(metrics["history"]) * -(-metrics["rows"] // 16)
    assert 5 < steps < 27
    for step in (2, 5, steps):
        stopped(tmp_path / f"S{step}", places["text"], step, training)
        run(*places["text"], tmp_path / f"S{step}", training)
        same(tmp_path / f"S{step}", tmp_path / "whole")


def test_a_run_that_pauses_between_epochs_ends_in_the_same_bits(places, tmp_path):
    run(*places["text"], tmp_path / "whole", THREE)
    out = tmp_path / "S"
    data = prepare(tmp_path / "D", *places["text"], RANDOM, "logits")
    for until in (1, 1, 2):
        _, metrics = fit(data, SMALL, Mse(), THREE, 0, out, until)
        assert len(metrics["history"]) == until
        assert not (out / "config.json").exists()
    fit(data, SMALL, Mse(), THREE, 0, out)
    same(out, tmp_path / "whole")
    assert not (out / "_checkpoint").exists()


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from small_sets import SMALL, run
from students import Training, _run
from transferset import LogitCache, TransferSet

torch.set_num_threads(1)
_run.CHECKPOINT_SECONDS = 0.0
transfer, cache, out, kills, settings = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), eval(sys.argv[5])
chance, killed, seen = random.Random(0), 0, set()
state = Path(out, "_checkpoint", "state.json")


def written():
    return state.read_bytes() if state.exists() else None


while killed < kills:
    before, child = written(), os.fork()
    if child == 0:
        try:
            run(TransferSet.open(transfer), LogitCache.open(cache), Path(out), Training(**settings))
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    while written() == before and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(chance.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    killed += 1
    seen.add(written())
print(killed, len(seen), Path(out, "config.json").exists())
"""


def test_a_run_killed_at_random_moments_ends_in_the_same_bits(places, tmp_path):
    transfer, cache = places["text"]
    settings = {"epochs": 12, "batch_size": 4, "learning_rate": 0.01, "dtype": "float32", "holdout": 0.1}
    run(transfer, cache, tmp_path / "whole", Training(**settings))
    arguments = (transfer.store.path, cache.path, tmp_path / "S", 4, settings)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    killed, checkpoints, ended = done.stdout.split()
    assert (killed, ended) == ("4", "False")
    assert int(checkpoints) > 2
    run(transfer, cache, tmp_path / "S", Training(**settings))
    same(tmp_path / "S", tmp_path / "whole")
    assert sorted(path.name for path in (tmp_path / "S").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole").iterdir()
    )


def test_one_checkpoint_is_kept_and_none_is_left(places, tmp_path, every_step, monkeypatch):
    kept, take = [], Run._take_step

    def watched(self, rows):
        kept.append([path.name for path in (tmp_path / "S" / "_checkpoint").glob("epoch-*")])
        return take(self, rows)

    monkeypatch.setattr(Run, "_take_step", watched)
    run(*places["text"], tmp_path / "S", SHORT)
    steps = [f"epoch-{epoch}-{step}.safetensors" for epoch in (0, 1) for step in range(4)]
    assert kept == [[], *([name] for name in steps[1:])]
    assert sorted(path.name for path in (tmp_path / "S").iterdir()) == [
        "README.md",
        "config.json",
        "metrics.json",
        "model.safetensors",
        "vocabulary.json",
    ]


def test_between_two_minutes_no_checkpoint_is_written(places, tmp_path, monkeypatch):
    written, write = [], Run.checkpoint
    monkeypatch.setattr(Run, "checkpoint", lambda self, *rest: (written.append(self.step), write(self, *rest))[1])
    run(*places["text"], tmp_path / "S", SHORT)
    assert written == [0, 0]


# Batches.


def start(data, architecture=SMALL, training=THREE, seed=0):
    """A run from the beginning on all rows of a data set."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture.build(data.encoding, data.task, data.width)
    table = starting_table(len(data.encoding), data.known, data.vectors, 8, seed)
    model.vectors.weight.data.copy_(torch.from_numpy(table))
    return Run(model, training, Mse(), seed, data.train, np.arange(len(data.train.inputs)))


@pytest.fixture
def data(places, tmp_path):
    return prepare(tmp_path / "D", *places["text"], RANDOM, "logits")


def test_every_row_comes_once_an_epoch_and_the_last_partial_batch_too(data):
    run = start(data)
    for run.epoch in range(3):
        batches, seeds = run._batches()
        assert sorted(map(len, batches)) == [2, 16, 16, 16]
        assert sorted(np.concatenate(batches).tolist()) == list(range(50))
        assert len(set(seeds.tolist())) == 4


def test_texts_of_a_batch_are_of_about_one_length(data):
    lengths = data.train.inputs.lengths
    spans = sorted((lengths[rows].min(), lengths[rows].max()) for rows in start(data)._batches()[0])
    # Batches follow one another without overlap but for the length at which one ends and the next begins.
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_which_rows_are_together_differs_between_epochs(data):
    """TextBrewer shuffles the order of batches whose rows stay together; here who is together is drawn anew."""
    run, whole = start(data), []
    for run.epoch in range(6):
        whole += [frozenset(rows.tolist()) for rows in run._batches()[0] if len(rows) == 16]
    assert (len(whole), len(set(whole))) == (18, 18)


def test_batches_depend_on_seed_and_epoch_alone(data):
    one, same, other = start(data), start(data), start(data, seed=1)
    one.epoch = same.epoch = other.epoch = 2
    lists = [[rows.tolist() for rows in each._batches()[0]] for each in (one, same, other)]
    assert lists[0] == lists[1] != lists[2]


# Steps.


#: Where torch's SparseAdam adds epsilon is not where Adam does, see ``test_word_adam.py``.
TINY = 1e-30


def plain_loop(data, architecture, training, run):
    """The losses and the weights of a loop as anyone would write it: sparse gradients of the whole table of vectors."""
    model = start(data, architecture, training).model
    model.vectors.sparse = True
    others = [each for name, each in model.named_parameters() if name != "vectors.weight"]
    groups = [
        {"params": [each for each in others if each.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [each for each in others if each.ndim == 1], "weight_decay": 0.0},
    ]
    optimizers = [torch.optim.AdamW(groups), torch.optim.SparseAdam([model.vectors.weight], eps=TINY)]
    losses, step, steps = [], 0, training.epochs * run.steps_per_epoch
    model.train()
    for run.epoch in range(training.epochs):
        for rows in run._batches()[0]:
            found = model(*map(torch.from_numpy, data.train.inputs.batch(rows)))
            loss = torch.nn.functional.mse_loss(found, data.train.targets(rows)[0])
            for optimizer in optimizers:
                optimizer.zero_grad()
                for group in optimizer.param_groups:
                    group["lr"] = training.rate(step, steps)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.item())
            step += 1
    run.epoch = 0
    return losses, model.state_dict()


@pytest.mark.parametrize("kind", ["text", "pair"])
@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_a_run_is_what_a_plain_loop_does(places, tmp_path, monkeypatch, name, kind):
    monkeypatch.setattr("students._word_adam.EPSILON", TINY)
    data = prepare(tmp_path / "D", *places[kind], RANDOM, "logits")
    architecture = replace(STUDENTS[name], dropout=0.0)
    run = start(data, architecture)
    wanted, state = plain_loop(data, architecture, THREE, run)
    losses, take = [], Run._take_step
    monkeypatch.setattr(Run, "_take_step", lambda self, rows: losses.append(take(self, rows)) or losses[-1])
    for _ in range(THREE.epochs):
        run.train_epoch(False, tmp_path, {})
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    for weight, each in run.model.state_dict().items():
        np.testing.assert_allclose(each, state[weight], atol=1e-4, err_msg=weight)
    assert [each["loss"] for each in run.history] == pytest.approx(
        [np.average(wanted[n : n + 4], weights=sizes) for n, sizes in zip((0, 4, 8), batch_sizes(run), strict=True)]
    )


def batch_sizes(run):
    for run.epoch in range(3):
        yield [len(rows) for rows in run._batches()[0]]


def test_a_step_moves_the_vectors_of_its_words_alone(data):
    run = start(data)
    before = run.model.vectors.weight.detach().clone()
    rows = run._batches()[0][0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what dropout leaves out is not to hide a word's gradient
        run._take_step(rows)
    inputs = data.train.inputs
    assert isinstance(inputs, Texts)
    words = {int(word) for word in inputs.batch(rows)[0].ravel()} - {0}
    moved = torch.nonzero((run.model.vectors.weight != before).any(1)).flatten().tolist()
    assert moved == sorted(words)


def test_frozen_vectors_stay_as_they_start_and_all_else_moves(places, tmp_path, data):
    run(*places["text"], tmp_path / "S", replace(THREE, freeze_vectors=True))
    first, found = start(data).model.state_dict(), load_file(tmp_path / "S" / "model.safetensors")
    assert [name for name, each in found.items() if torch.equal(each, first[name])] == ["vectors.weight"]


def test_weights_decay_but_for_biases_and_vectors(data):
    """With answers that are right already, decay is all that moves anything."""
    run = start(data, replace(SMALL, dropout=0.0), replace(THREE, weight_decay=0.5))
    run.objective = Nothing()
    before = {name: each.clone() for name, each in run.model.state_dict().items()}
    run._take_step(np.arange(16))
    rate = THREE.rate(0, run.epochs * run.steps_per_epoch)
    for name, each in run.model.state_dict().items():
        decayed = each.ndim > 1 and name != "vectors.weight"
        np.testing.assert_allclose(each, before[name] * (1 - rate * 0.5 * decayed), atol=1e-7, err_msg=name)


class Nothing:
    def loss(self, outputs, teacher, gold, has_gold):
        return outputs.sum() * 0.0


def test_the_global_generator_is_where_it_was(data, tmp_path):
    torch_state = torch.get_rng_state()
    run = start(data)
    run.train_epoch(False, tmp_path, {})
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_bfloat16_stays_close_to_float32(places, tmp_path):
    training = replace(SHORT, epochs=10)
    found = {}
    for dtype in ("float32", "bfloat16"):
        student, metrics = run(*places["text"], tmp_path / dtype, replace(training, dtype=dtype))
        found[dtype] = outputs_of(student, TEXTS), [each["loss"] for each in metrics["history"]]
    assert (found["float32"][0] != found["bfloat16"][0]).any()
    np.testing.assert_allclose(found["bfloat16"][1], found["float32"][1], rtol=0.03)
    assert np.abs(found["bfloat16"][0] - found["float32"][0]).mean() < 0.05
    # What is saved is float32 whatever it was trained in.
    saved = load_file(tmp_path / "bfloat16" / "model.safetensors")
    assert {each.dtype for each in saved.values()} == {torch.float32}


@pytest.mark.parametrize(("name", "dtype"), [("bilstm", "bfloat16"), ("cnn", "bfloat16"), ("bag", "float32")])
def test_the_precision_that_was_really_used_is_noted(places, tmp_path, name, dtype):
    """A bag has nothing between its vectors and its last layers."""
    training = replace(SHORT, epochs=1, dtype="bfloat16")
    _, metrics = run(*places["text"], tmp_path / "S", training, student=STUDENTS[name])
    assert (metrics["dtype"], metrics["threads"], metrics["stillhouse"]) == (dtype, 1, __version__)
    assert json.loads((tmp_path / "S" / "metrics.json").read_bytes()) == metrics
    said = (tmp_path / "S" / "README.md").read_text()
    assert f"| Computed in | {dtype}, threads 1 |" in said
    assert f"| Versions | stillhouse {__version__}, torch {torch.__version__} |" in said


def test_a_student_of_features_does_not_compute_in_bfloat16(places, tmp_path):
    """Its outputs, which nothing rounds up again, would have three digits."""
    for dtype in ("float32", "bfloat16"):
        _, metrics = run(*places["features"], tmp_path / dtype, replace(SHORT, dtype=dtype), student=MLP)
        assert metrics["dtype"] == "float32"
    assert weights(tmp_path / "float32") == weights(tmp_path / "bfloat16")


@pytest.mark.parametrize(
    ("batch_size", "epochs", "says"),
    [
        (16, 4, r"loss must be finite, got (inf|nan) in epoch 1, batch 2: nothing is kept; try a lower --learning"),
        # One batch an epoch: its loss is that of the weights before, and all is broken after it.
        (50, 1, "weights and outputs must be finite, got nan or infinity after epoch 1, batch 1: nothing is kept; try"),
        (50, 2, "weights and outputs must be finite, got nan or infinity after epoch 1, batch 1: nothing is kept; try"),
    ],
)
@pytest.mark.parametrize("name", STUDENTS)
def test_a_rate_that_is_far_too_high_names_the_batch_and_leaves_nothing(
    places, tmp_path, name, batch_size, epochs, says
):
    training = replace(SHORT, epochs=epochs, batch_size=batch_size, learning_rate=1e30, warmup=0.0)
    with pytest.raises(StillhouseError, match=says):
        run(*places["text"], tmp_path / "S", training, student=STUDENTS[name])
    assert not (tmp_path / "S").exists()


def test_weights_that_are_no_numbers_are_not_written_between_epochs(places, tmp_path, every_step):
    training = replace(SHORT, learning_rate=1e30, warmup=0.0)
    with pytest.raises(StillhouseError, match="must be finite, got nan or infinity after epoch 1, batch 1: nothing is"):
        run(*places["text"], tmp_path / "S", training)
    assert not (tmp_path / "S").exists()


def test_a_loss_that_is_not_finite_leaves_the_weights_of_the_last_checkpoint(places, tmp_path, monkeypatch, every_step):
    loss, calls = Mse.loss, []

    def broken(self, *arguments):
        calls.append(1)
        return loss(self, *arguments) * (float("nan") if len(calls) == 7 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(Mse, "loss", broken)
        says = "must be finite, got nan in epoch 2, batch 3: the checkpoint after epoch 2, batch 2 is kept; .* --force"
        with pytest.raises(StillhouseError, match=says):
            run(*places["text"], tmp_path / "S", THREE)
    state = json.loads((tmp_path / "S" / "_checkpoint" / "state.json").read_text())
    assert (state["epoch"], state["step"]) == (1, 2)
    run(*places["text"], tmp_path / "S", THREE)
    run(*places["text"], tmp_path / "whole", THREE)
    same(tmp_path / "S", tmp_path / "whole")


# The best epoch.


def scripted(monkeypatch, name, values):
    """The dev metric of each epoch is as given; the weights after each are kept."""
    states = []

    def measure(self, student):
        states.append({key: each.clone() for key, each in student.model.state_dict().items()})
        return {f"dev_{name}": values[len(states) - 1]}

    monkeypatch.setattr(Judge, "measure", measure)
    return states


NAN = float("nan")


@pytest.mark.parametrize(
    ("monitor", "values", "patience", "epochs", "best"),
    [
        ("accuracy", [0.1, 0.5, 0.4, 0.6, 0.6], None, 5, 4),
        ("accuracy", [0.5, 0.5, 0.5, 0.5, 0.5], None, 5, 1),
        ("accuracy", [0.1, 0.5, 0.4, 0.3, 0.9], 2, 4, 2),
        ("accuracy", [0.1, 0.5, 0.5, 0.9, 0.9], 1, 3, 2),
        ("accuracy", [0.5, 0.4, 0.3, 0.2, 0.1], 3, 4, 1),
        ("mcc", [-0.9, -0.5, -0.7, -0.6, -0.5], 3, 5, 2),
        ("loss", [0.5, 0.4, 0.3, 0.35, 0.2], None, 5, 5),
        ("loss", [0.5, 0.4, 0.45, 0.41, 0.2], 2, 4, 2),
        ("agreement", [0.5, 0.6, 0.4, 0.3, 0.9], 2, 4, 2),
        ("accuracy", [0.1, NAN, 0.5, NAN, 0.4], None, 5, 3),
        ("loss", [NAN, 0.5, NAN, 0.6, NAN], None, 5, 2),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(places, tmp_path, monkeypatch, monitor, values, patience, epochs, best):
    states = scripted(monkeypatch, monitor, values)
    training = replace(SHORT, epochs=5, monitor=monitor, patience=patience)
    dev = Source(places["text"][0].store.path.parent / "rows.jsonl")
    student, metrics = run(*places["text"], tmp_path / "S", training, dev=dev)
    assert (len(metrics["history"]), metrics["best_epoch"]) == (epochs, best)
    np.testing.assert_array_equal([each[f"dev_{monitor}"] for each in metrics["history"]], values[:epochs])
    for found in (load_file(tmp_path / "S" / "model.safetensors"), student.model.state_dict()):
        for name, each in states[best - 1].items():
            assert torch.equal(found[name], each)
    # And those of the last, which are not written twice.
    last = Student.load(tmp_path / "S", "last").model.state_dict()
    assert all(torch.equal(last[name], each) for name, each in states[-1].items())
    assert (tmp_path / "S" / "last.safetensors").exists() == (best != epochs)


def test_without_rows_to_watch_the_last_weights_are_kept(places, tmp_path, monkeypatch):
    states, note = [], Run.note

    def noted(self, *rest):
        states.append({key: each.clone() for key, each in self.model.state_dict().items()})
        note(self, *rest)

    monkeypatch.setattr(Run, "note", noted)
    _, metrics = run(*places["text"], tmp_path / "S", THREE)
    assert metrics["best_epoch"] == 3
    found = load_file(tmp_path / "S" / "model.safetensors")
    assert all(torch.equal(found[name], each) for name, each in states[-1].items())
    assert not (tmp_path / "S" / "last.safetensors").exists()


@pytest.mark.parametrize("monitor", ["loss", "accuracy", "agreement", "f1"])
@pytest.mark.parametrize("watched", ["dev", "holdout"])
def test_what_is_watched_decides_the_epoch(places, tmp_path, monitor, watched):
    rows = places["text"][0].store.path.parent / "rows.jsonl"
    dev = Source(rows) if watched == "dev" else None
    training = replace(SHORT, epochs=6, learning_rate=0.1, monitor=monitor, holdout=0.3 if dev is None else 0.0)
    _, metrics = run(*places["text"], tmp_path / "S", training, dev=dev)
    history = [each[f"dev_{monitor}"] for each in metrics["history"]]
    assert metrics["best_epoch"] == 1 + int(np.argmin(history) if monitor == "loss" else np.argmax(history))
    # And it is measured as any file is: the saved student gives the figure of the best epoch.
    if watched == "dev":
        outputs = outputs_of(Student.load(tmp_path / "S"), TEXTS)
        decided = outputs.argmax(1)
        gold = np.array([TASK.classes.index(label) for label in LABELS])
        figures = {
            "loss": float(np.square(outputs - taught(TEXTS)).mean()),
            "accuracy": (decided == gold).mean(),
            "agreement": (decided == taught(TEXTS).argmax(1)).mean(),
        }
        if monitor in figures:
            best = metrics["history"][metrics["best_epoch"] - 1]
            assert best[f"dev_{monitor}"] == pytest.approx(figures[monitor], rel=1e-5)
