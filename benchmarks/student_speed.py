"""How fast students are trained, and how fast they answer; a JSON line a figure, with both sides' raw numbers.

    python benchmarks/student_speed.py training    # a bilstm: the plain loop, careful loops, ours; same accuracy
    python benchmarks/student_speed.py sweep       # eight students in a sweep beside one
    python benchmarks/student_speed.py throughput  # bilstm and bag beside the transformers pipeline with the teacher

Contenders take turns, three times over or ``--rounds``; medians are quoted.
All read SST-2 labelled by the teacher of ``shared``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from augment import augment_file, load_recipe
from label import label, load_teacher
from students import Student, Training, load_architecture, load_objective, train
from students._dataset import Dataset
from students._gold import gold_targets
from students._prepare import prepare
from students._run import Run
from students._vectors import starting_table
from students.metrics import scores
from students.onnx_student import OnnxStudent
from students.reading import Reading
from transferset import LogitCache, Source, Task, TransferSet, read_rows

ROOT = Path(__file__).parent.parent
TASK = Task("text", ("sentence",), "label", classes=("0", "1"))
ROUNDS = 3
EPOCHS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["training", "sweep", "throughput"])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, help="where to keep the transfer set and the cache for the next time")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--copies", type=int, default=0, help="augmented copies of each text")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--students", nargs="+", default=["bilstm", "bag"], help="of the sweep")
    given = parser.parse_args()
    os.environ.setdefault("NLTK_DATA", str((given.shared / "nltk_data").resolve()))
    with tempfile.TemporaryDirectory() as scratch:
        out = given.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        made = transfer_set(given.shared, out, given.copies)
        if given.what == "training":
            training(given.shared, out, *made, given.rounds, given.epochs)
        elif given.what == "sweep":
            sweep(given.shared, out, given.students, given.rounds, given.epochs)
        else:
            throughput(given.shared, out, *made, given.rounds)


def transfer_set(shared: Path, out: Path, copies: int) -> tuple[TransferSet, LogitCache]:
    recipe = load_recipe("tang2019")
    augment_file(Source(shared / "data" / "sst2" / "train.tsv"), TASK, out / "T", recipe, copies, progress=True)
    label(
        TransferSet.open(out / "T"), load_teacher(str(shared / "models" / "minilm-l6-sst2")), out / "L", progress=True
    )
    return TransferSet.open(out / "T"), LogitCache.open(out / "L")


def say(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


def in_turn(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contender measured in each round."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            found[name].append(measure())
            print(f"  {name}: {found[name][-1]:,.1f}", file=sys.stderr, flush=True)
    return found


# A bilstm, trained by several loops.


class UsualBilstm(nn.Module):
    """The network of ``students/bilstm.py`` as people write it: one bidirectional LSTM, padded or packed."""

    def __init__(self, data: Dataset, packed: bool, sparse: bool) -> None:
        super().__init__()
        words = len(data.encoding)  # type: ignore[arg-type]
        self.vectors = nn.Embedding(words, 300, padding_idx=0, sparse=sparse)
        with torch.no_grad():
            self.vectors.weight.copy_(torch.from_numpy(starting_table(words, data.known, data.vectors, 300, 0)))
        self.lstm = nn.LSTM(300, 150, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.hidden, self.output = nn.Linear(300, 400), nn.Linear(400, 2)
        self.packed = packed

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # noqa: D102
        vectors = self.dropout(self.vectors(ids))
        if self.packed:
            packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
            states = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]
        else:
            states = self.lstm(vectors)[0]
        states = states.masked_fill((torch.arange(ids.shape[1]) >= lengths[:, None])[:, :, None], -2.0)
        hidden = torch.relu(self.hidden(self.dropout(states.amax(1))))
        return self.output(self.dropout(hidden))  # type: ignore[no-any-return]


class Loop:
    """A training loop of one's own, over texts that are lists of numbers already."""

    def __init__(self, data: Dataset, batch: int, kind: str) -> None:
        self.texts = [torch.from_numpy(data.train.inputs.batch(np.array([row]))[0][0]) for row in range(len(data.copy))]
        self.lengths = torch.tensor([len(text) for text in self.texts])
        self.teacher = torch.from_numpy(np.array(data.train.teacher))
        self.batch, self.kind = batch, kind
        torch.manual_seed(0)
        self.model = UsualBilstm(data, packed=kind == "packed", sparse=kind == "sparse")
        if kind == "plain":
            self.optimizers: list[Any] = [torch.optim.Adadelta(self.model.parameters(), lr=1.0, rho=0.95)]
        elif kind == "sparse":
            table, *others = self.model.parameters()
            self.optimizers = [torch.optim.Adam(others, lr=1e-3), torch.optim.SparseAdam([table], lr=1e-3)]
        else:
            self.optimizers = [torch.optim.Adam(self.model.parameters(), lr=1e-3)]

    def batches(self) -> Iterator[Tensor]:  # noqa: D102
        order = torch.randperm(len(self.texts))
        if self.kind != "plain":
            # Sorted by length in chunks of 64 batches, which are then shuffled.
            chunks = order.split(64 * self.batch)
            order = torch.cat([chunk[self.lengths[chunk].argsort()] for chunk in chunks])
        parts = order.split(self.batch)
        return (parts[place] for place in torch.randperm(len(parts)))

    def step(self, rows: Tensor) -> None:  # noqa: D102
        ids = nn.utils.rnn.pad_sequence([self.texts[row] for row in rows.tolist()], batch_first=True)
        outputs = self.model(ids, self.lengths[rows])
        loss = functional.mse_loss(outputs, self.teacher[rows])
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers:
            optimizer.step()


def training(shared: Path, out: Path, transfer: TransferSet, cache: LogitCache, rounds: int, epochs: int) -> None:
    data = prepare(out / "data", transfer, cache, Reading(), "logits", progress=True)
    loops = {"plain": 50, "padded": 256, "packed": 256, "sparse": 256}

    def theirs(kind: str) -> float:
        loop = Loop(data, loops[kind], kind)
        return rate(loop.step, list(loop.batches()), texts=3_000 if kind == "plain" else 15_000)

    def ours(dtype: str) -> float:
        run = our_run(data, Training(epochs=epochs, dtype=dtype))
        return rate(run._take_step, run._batches()[0], texts=30_000)

    contenders: dict[str, Callable[[], float]] = {kind: (lambda kind=kind: theirs(kind)) for kind in loops}  # type: ignore[misc]
    contenders |= {"ours": lambda: ours("auto"), "ours float32": lambda: ours("float32")}
    rates = in_turn(contenders, rounds)
    middle = {name: statistics.median(each) for name, each in rates.items()}
    say(texts_a_second=rates, rows=len(data.copy), words_a_text=float(data.train.inputs.lengths.mean()))
    for own in ("ours", "ours float32"):
        for other in loops:
            say(ratio=f"{own} / {other}", value=round(middle[own] / middle[other], 2))
    accuracies(shared, data, loops, epochs)


def rate(step: Callable[[Any], object], batches: list[Any], texts: int) -> float:
    for rows in batches[:4]:
        step(rows)
    done, started = 0, time.monotonic()
    for rows in batches[4:]:
        step(rows)
        done += len(rows)
        if done >= texts:
            break
    return done / (time.monotonic() - started)


def our_run(data: Dataset, settings: Training) -> Run:
    torch.manual_seed(0)
    model = load_architecture("bilstm", {}).build(data.encoding, data.task, data.width)
    with torch.no_grad():
        table = model.get_parameter("vectors.weight")
        table.copy_(torch.from_numpy(starting_table(len(table), data.known, data.vectors, 300, 0)))
    model.train()
    return Run(model, settings, load_objective("mse"), 0, data.train, np.arange(len(data.copy)))


def accuracies(shared: Path, data: Dataset, loops: dict[str, int], epochs: int) -> None:
    """Each loop to its end: the accuracy that its speed is worth."""
    source = Source(shared / "data" / "sst2" / "test.tsv")
    test = pa.Table.from_batches(list(read_rows(source, data.task)))
    inputs, (gold, _) = data.encoding.encode([test["sentence"]]), gold_targets(test["label"], data.task)

    def accuracy(model: nn.Module) -> float:
        model.eval()
        with torch.inference_mode():
            outputs = [model(*map(torch.from_numpy, inputs.batch(np.array([row])))) for row in range(len(test))]
        return scores(torch.cat(outputs).numpy(), gold, data.task)["accuracy"]

    for kind, batch in loops.items():
        started, loop = time.monotonic(), Loop(data, batch, kind)
        for _ in range(epochs):
            for rows in loop.batches():
                loop.step(rows)
        say(loop=kind, epochs=epochs, test_accuracy=accuracy(loop.model), seconds=time.monotonic() - started)
    for dtype in ("auto", "float32"):
        started, run = time.monotonic(), our_run(data, Training(epochs=epochs, dtype=dtype))
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(epochs):
                run.train_epoch(False, Path(folder), {})
        say(loop=f"ours {dtype}", epochs=epochs, test_accuracy=accuracy(run.model), seconds=time.monotonic() - started)


# Eight students and one.


def sweep(shared: Path, out: Path, students: list[str], rounds: int, epochs: int) -> None:
    """The wall time of the commands, from start to end."""
    for student in students:
        options = ["--epochs", str(epochs)]
        grid = out / f"{student}.toml"
        grid.write_text(f'student = "{student}"\nepochs = {epochs}\nseed = [0, 1, 2, 3, 4, 5, 6, 7]\n')

        def one(student: str = student, options: list[str] = options) -> float:
            return command(out, "train", "T", "L", "--student", student, *options, "--out", "one")

        def eight(grid: Path = grid, more: tuple[str, ...] = ()) -> float:
            return command(out, "sweep", "T", "L", "--grid", grid.name, *more, "--out", "eight")

        dev = ("--dev", str((shared / "data" / "sst2" / "dev.tsv").resolve()), "--halving", "2")
        contenders = {"one": one, "eight": eight, "eight, halving": partial(eight, more=dev)}
        seconds = in_turn(contenders, rounds)
        middle = {name: statistics.median(each) for name, each in seconds.items()}
        say(student=student, epochs=epochs, seconds=seconds)
        for name in ("eight", "eight, halving"):
            say(student=student, ratio=f"{name} / one", value=round(middle[name] / middle["one"], 2))


def command(out: Path, *arguments: str) -> float:
    shutil.rmtree(out / arguments[-1], ignore_errors=True)
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", "stillhouse", *arguments]
    subprocess.run(run, cwd=out, check=True, capture_output=True, env=environment)
    return time.monotonic() - started


# Answers a second.


def throughput(shared: Path, out: Path, transfer: TransferSet, cache: LogitCache, rounds: int) -> None:
    from transformers import pipeline

    table = pa.concat_tables(list(transfer.tables(["sentence"])))
    some = np.random.default_rng(0).permutation(len(table))[:10_000]
    texts = table.take(some)
    strings = texts["sentence"].to_pylist()
    teacher = pipeline("text-classification", model=str(shared / "models" / "minilm-l6-sst2"))
    best = max((1, 8, 32, 64), key=lambda size: pace(lambda: list(teacher(strings[:500], batch_size=size)), 500))
    students: dict[str, Any] = {}
    for name in ("bilstm", "bag"):
        folder = out / f"fast-{name}"
        trained, _ = train(
            transfer,
            cache,
            load_architecture(name, {}),
            load_objective("mse"),
            folder,
            Training(epochs=1),
            progress=True,
        )
        students[name] = Student.load(folder)
        file = out / f"{name}.onnx"
        if not file.exists():
            from students.export import export

            export(trained, file)
        students[f"{name} onnx"] = OnnxStudent.load(file)
    contenders: dict[str, Callable[[], float]] = {
        name: (lambda student=student: pace(lambda: student.outputs(texts), len(texts)))  # type: ignore[misc]
        for name, student in students.items()
    }
    contenders["pipeline"] = lambda: pace(lambda: list(teacher(strings[:2_000], batch_size=best)), 2_000)
    rates = in_turn(contenders, rounds)
    middle = {name: statistics.median(each) for name, each in rates.items()}
    say(texts_a_second=rates, pipeline_batch=best, texts=len(texts))
    for name in students:
        say(ratio=f"{name} / pipeline", value=round(middle[name] / middle["pipeline"], 1))


def pace(work: Callable[[], object], rows: int) -> float:
    started = time.monotonic()
    work()
    return rows / (time.monotonic() - started)


if __name__ == "__main__":
    main()
