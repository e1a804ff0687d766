"""Ray: every chunk is answered once whatever dies, and whatever goes wrong is one line."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from counting_teacher import TASK, assert_same_cache, assert_whole, texts_in, transfer_set

from label import _ray as pool_module
from label import label
from label._ray import CHUNKS_PER_ACTOR, DEATHS, RayPool
from label.teacher import Answers, Description, Request, Signal
from transferset import StillhouseError

ray = pytest.importorskip("ray")

#: Nothing here takes as long on a machine that works.
DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class Lengths:
    """A teacher whose logits are a text's length and how many were asked about; it writes what happens into a file.

    Texts can say "raise", "refuse" or "die"; ``trouble`` does so while it loads, or makes each load another teacher.
    """

    gives: ClassVar[tuple[Signal, ...]] = ("logits",)

    log: str
    seconds: float = 0.02
    trouble: str = ""

    def load(self, request: Request) -> LoadedLengths:
        _note(self.log, "load", "sample" if request.sample is not None else "no sample", str(request.made))
        _obey(self.trouble)
        loads = sum(line[0] == "load" for line in _notes(self.log))
        return LoadedLengths(self, loads if self.trouble == "differ" else 1)


@dataclass(frozen=True)
class LoadedLengths:
    teacher: Lengths
    weights: int

    @property
    def description(self) -> Description:
        return Description({"teacher": "lengths", "weights": self.weights}, TASK.classes, {"logits": 2}, chunk_rows=8)

    def answer(self, rows: pa.Table) -> Answers:
        texts = rows["text"].to_pylist()
        for text in texts:
            _obey(text, lambda: _note(self.teacher.log, "die"))
        time.sleep(self.teacher.seconds)
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "no node"
        _note(self.teacher.log, "answer", node, *texts)
        logits = np.array([(len(text), len(texts)) for text in texts], np.float32)
        return Answers({"logits": logits}, cut=len(texts))

    def kept(self) -> Mapping[str, bytes]:
        return {"folder": os.getcwd().encode(), "threads": os.environ.get("OMP_NUM_THREADS", "").encode()}


def _obey(order: str, before_death: Callable[[], None] = lambda: None) -> None:
    if order == "raise":
        raise LookupError("no such word\nand more")
    if order == "refuse":
        raise StillhouseError("teacher: texts must be kind, got 'refuse'")
    if order == "die":
        before_death()
        os._exit(3)


def _note(log: str, *words: str) -> None:
    with open(log, "a") as file:
        file.write("\t".join(words) + "\n")


def _notes(log: str) -> list[list[str]]:
    return [line.split("\t") for line in Path(log).read_text().splitlines()]


def _nodes(log: str) -> set[str]:
    """The nodes that have answered."""
    return {line[1] for line in _notes(log) if line[0] == "answer"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that takes no actors, away from any cluster that runs on this machine."""
    from ray.cluster_utils import Cluster

    # Its sockets' paths must be short, which those of pytest's own directories need not be.
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        patch.setenv("RAY_TMPDIR", folder)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 << 20})
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.shutdown()


@pytest.fixture
def nodes(cluster: Any) -> Any:
    """The cluster with two nodes of one CPU."""
    while len(cluster.worker_nodes) < 2:
        _add_node(cluster)
    return cluster


def _add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=100 << 20)


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "log"
    path.touch()
    return str(path)


@pytest.fixture
def pool_of() -> Iterator[Callable[..., RayPool]]:
    """Makes pools that are closed in the end."""
    made: list[RayPool] = []

    def make(teacher: Any, actors: int | None = None) -> RayPool:
        made.append(RayPool(teacher, Request(TASK, sample=pa.table({"text": ["a"]})), actors))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
    assert not ray.is_initialized()


def _chunks(*orders: str, number: int = 20) -> Iterator[tuple[int, pa.Table]]:
    """Numbered chunks of two texts, of which the first ones say something special."""
    for each in range(number):
        yield each, pa.table({"text": ["x" * each, orders[each] if each < len(orders) else "yy"]})


def test_what_dies_is_replaced_and_each_chunk_is_answered_once(nodes: Any, log: str, pool_of: Any) -> None:
    pool = pool_of(Lengths(log))
    started = time.monotonic()
    pulled, nodes_wanted = 0, 2

    def until_enough_nodes() -> Iterator[tuple[int, pa.Table]]:
        nonlocal pulled
        for number in count():
            if len(_nodes(log)) > 2 or time.monotonic() > started + DEADLINE_SECONDS:
                return
            pulled += 1
            yield number, pa.table({"text": ["x" * (number % 50)]})

    answered: dict[int, Answers] = {}
    for number, answers in pool.answers(until_enough_nodes()):
        assert number not in answered
        answered[number] = answers
        assert pulled <= len(answered) + CHUNKS_PER_ACTOR * 3
        if len(_nodes(log)) == nodes_wanted == 2:
            nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
            _add_node(nodes)
            nodes_wanted = 3
    assert len(_nodes(log)) == 3
    assert sorted(answered) == list(range(pulled))
    for number, answers in answered.items():
        np.testing.assert_array_equal(answers.signals["logits"], [[number % 50, 1]])
        assert answers.cut == 1
    asked = sum(line[0] == "answer" for line in _notes(log))
    assert pulled <= asked <= pulled + CHUNKS_PER_ACTOR
    # The first to load settled what is open; the others were told.
    loads = [line[1:] for line in _notes(log) if line[0] == "load"]
    settled = str({"signals": {"logits": 2}, "teacher": "lengths", "weights": 1})
    assert loads == [["sample", "None"]] + [["no sample", settled]] * (len(loads) - 1)


def test_a_chunk_that_ends_its_actor_is_given_up(nodes: Any, log: str, pool_of: Any) -> None:
    answers = pool_of(Lengths(log)).answers(_chunks("", "", "", "die", number=6))
    got = []
    message = rf"^ray: an actor must survive each chunk, got {DEATHS} that died at chunk 3 of 2 rows: .*died"
    with pytest.raises(StillhouseError, match=message):
        got += [number for number, _ in answers]
    assert sum(line[0] == "die" for line in _notes(log)) == DEATHS


def test_what_a_teacher_raises_is_one_line(nodes: Any, log: str, pool_of: Any) -> None:
    pool = pool_of(Lengths(log))
    with pytest.raises(StillhouseError, match=r"^teacher: texts must be kind, got 'refuse'$"):
        list(pool.answers(_chunks("refuse")))
    with pytest.raises(StillhouseError, match=r"^teacher: must answer, got LookupError: no such word$") as caught:
        list(pool.answers(_chunks("raise")))
    assert "_obey" in str(caught.value.__cause__)
    # Neither ends the actor, and nothing of what was asked then comes now.
    again = dict(pool.answers(_chunks()))
    assert sorted(again) == list(range(20))
    assert sum(line[0] == "load" for line in _notes(log)) == 1


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("raise", r"^teacher: must load, got LookupError: no such word$"),
        ("refuse", r"^teacher: texts must be kind, got 'refuse'$"),
        ("die", rf"^ray: an actor must survive loading the teacher, got {DEATHS} that died: .*worker process has died"),
    ],
)
def test_a_teacher_that_cannot_be_loaded_is_one_line(
    nodes: Any, log: str, pool_of: Any, trouble: str, message: str
) -> None:
    with pytest.raises(StillhouseError, match=message):
        pool_of(Lengths(log, trouble=trouble))
    assert not ray.is_initialized()


def test_another_teacher_on_another_node_is_an_error(nodes: Any, log: str, pool_of: Any) -> None:
    pool = pool_of(Lengths(log, trouble="differ"))
    with pytest.raises(StillhouseError, match=r"^ray: every node must hold the same .*, got weights 1 on .* and 2 on "):
        list(pool.answers((number, pa.table({"text": ["a"]})) for number in range(10_000)))


def test_no_node_that_takes_an_actor_is_an_error(
    nodes: Any, log: str, pool_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(Lengths(log))
    answers = pool.answers(_chunks(number=1000))
    next(answers)
    monkeypatch.setattr(pool_module, "PATIENCE_SECONDS", 1.0)
    for node in list(nodes.worker_nodes):
        nodes.remove_node(node, allow_graceful=False)
    message = (
        r"^ray: must have a live node with a free CPU for the teacher, got none in 1 s{}: the same command goes on"
    )
    with pytest.raises(StillhouseError, match=message.format(r" since one was lost \(.*\)")):
        list(answers)
    pool.close()
    with pytest.raises(StillhouseError, match=message.format("")):
        pool_of(Lengths(log))


def test_what_must_hold_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StillhouseError, match=r"^ray: must have at least 1 actor, got 0$"):
        RayPool(Lengths(""), Request(TASK), actors=0)
    monkeypatch.setenv("RAY_ADDRESS", "nowhere at all")
    with pytest.raises(StillhouseError, match=r"^ray: must reach a cluster or start one, got .*: .*"):
        RayPool(Lengths(""), Request(TASK))
    monkeypatch.setitem(sys.modules, "ray", None)
    message = r"^ray: must be installed for --engine ray: pip install 'stillhouse\[ray\]'$"
    with pytest.raises(StillhouseError, match=message):
        RayPool(Lengths(""), Request(TASK))


def test_a_cache_made_while_a_node_dies_is_that_of_a_local_run(nodes: Any, log: str, tmp_path: Path) -> None:
    transfer = transfer_set(tmp_path, [f"text {'x' * (number % 90)} {number}" for number in range(600)])

    def kill_one_of_two() -> None:
        until = time.monotonic() + DEADLINE_SECONDS
        while len(_nodes(log)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    killer = threading.Thread(target=kill_one_of_two)
    killer.start()
    done = label(transfer, Lengths(log, seconds=0.1), tmp_path / "ray", engine="ray")
    killer.join()
    assert len(_nodes(log)) == 2
    asked = [text for line in _notes(log) if line[0] == "answer" for text in line[2:]]
    assert done.distinct == done.labelled == done.cut == len(set(asked)) == len(set(texts_in(transfer)))
    assert len(asked) <= done.distinct + CHUNKS_PER_ACTOR * 8
    assert_whole(tmp_path / "ray", done.distinct)
    assert not ray.is_initialized()
    label(transfer, Lengths(log), tmp_path / "local")
    assert_same_cache(tmp_path / "ray", tmp_path / "local")


# The last: a process that has had a cluster of its own is not taken back by the one that it had joined before.
def test_without_a_cluster_it_uses_this_machine(
    cluster: Any, log: str, pool_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    pool = pool_of(Lengths(log), actors=1)
    assert pool.description == LoadedLengths(Lengths(log), 1).description
    assert pool.kept() == {"folder": os.getcwd().encode(), "threads": b"1"}
    assert list(pool.answers(iter([]))) == []
    assert sorted(number for number, _ in pool.answers(_chunks())) == list(range(20))
    assert sum(line[0] == "load" for line in _notes(log)) == 1
