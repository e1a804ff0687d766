"""The teacher on every node of a Ray cluster: actors that are asked in chunks, and replaced when they die.

An actor does what it is told in order, so only what it will say next is waited for. Which chunk it died of is not
known, as its last answer may be lost with it: what it held is asked again one by one.
"""

from __future__ import annotations

import logging
import os
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import Any

import numpy as np
import pyarrow as pa

from transferset import StillhouseError

from .teacher import Answers, Description, Loaded, Request, Teacher

#: Chunks that an actor holds: one that it works on, and one that is there when it has done.
CHUNKS_PER_ACTOR = 2
#: A chunk that ends as many actors is given up, and so are actors when as many in a row die before they are ready.
DEATHS = 3
#: How long to wait for a node that takes an actor while there is none.
PATIENCE_SECONDS = 120.0
#: How often to look for room for more actors: nodes join, and what died left its place.
LOOK_SECONDS = 1.0


class _Actor:
    """A process that holds the teacher, on whichever node Ray puts it."""

    _loaded: Loaded

    def place(self) -> str:
        import ray

        address: str = ray.util.get_node_ip_address()
        return address

    def load(self, teacher: Teacher, request: Request, folder: str) -> Description:
        # So that a relative path means here what it means to the user.
        if os.path.isdir(folder):
            os.chdir(folder)
        with _one_line("load"):
            self._loaded = teacher.load(request)
            return self._loaded.description

    def kept(self) -> Mapping[str, bytes]:
        with _one_line("say what to keep"):
            return self._loaded.kept()

    def answer(self, rows: pa.Table) -> Answers:
        with _one_line("answer"):
            return self._loaded.answer(rows)


@contextmanager
def _one_line(must: str) -> Iterator[None]:
    """Whatever goes wrong inside as an error of one line that can be sent; Ray sends the traceback with it."""
    try:
        yield
    except StillhouseError:
        raise
    except Exception as error:
        raise StillhouseError(f"teacher: must {must}, got {_said(error)}") from error


@dataclass(eq=False)
class _Chunk:
    number: int
    rows: pa.Table
    deaths: int = 0


@dataclass(eq=False)
class _Worker:
    """An actor as the driver sees it: on its way to a node, then loading, then asked one chunk after the other."""

    actor: Any
    started: float
    beginning: Any
    address: str | None = None
    ready: bool = False
    asked: deque[tuple[Any, _Chunk]] = field(default_factory=deque)

    @property
    def coming(self) -> Any:
        """What it says next, None where it was asked nothing."""
        if not self.ready:
            return self.beginning
        return self.asked[0][0] if self.asked else None


class _LostError(Exception):
    """An answer that will not come, because its actor or node is gone."""


class RayPool:
    """A teacher in actors of one CPU each, or one GPU each where the cluster has any.

    It joins the cluster that ``RAY_ADDRESS`` names or that runs on this machine, and else starts one of this machine
    alone. Each actor loads the teacher itself; the first one settles what is open, and the others must then be the
    same.

    Args:
        actors: the most to start; None for as many as the cluster has room for.

    Raises:
        StillhouseError: Ray is missing or cannot be reached, the teacher cannot be loaded, or no node takes it.
    """

    description: Description

    def __init__(self, teacher: Teacher, request: Request, actors: int | None = None) -> None:
        if actors is not None and actors < 1:
            raise StillhouseError(f"ray: must have at least 1 actor, got {actors}")
        self._teacher, self._request, self._most = teacher, request, actors
        self._workers: list[_Worker] = []
        self._again: deque[_Chunk] = deque()
        self._settled_at: str | None = None
        self._early_deaths, self._last_early_death, self._lost = 0, -np.inf, ""
        self._ray, self._joined = _join()
        self._looked, self._placed = -np.inf, time.monotonic()
        try:
            self._unit = "GPU" if self._ray.cluster_resources().get("GPU", 0) >= 1 else "CPU"
            self._ready_worker()
        except BaseException:
            self.close()
            raise

    def kept(self) -> Mapping[str, bytes]:
        """What one of the actors has of the teacher's files."""
        while True:
            worker = self._ready_worker()
            try:
                found: Mapping[str, bytes] = self._get(worker.actor.kept.remote())
            except _LostError as error:
                self._bury(worker, error)
            else:
                return found

    def answers(self, chunks: Iterator[tuple[int, pa.Table]]) -> Generator[tuple[int, Answers], None, None]:
        """Answers to numbered chunks as they come; what a dead actor was asked is asked again.

        Takes at most two chunks an actor ahead of what it has yielded, and yields each once.

        Raises:
            StillhouseError: the teacher's own; a chunk that ended three actors; no node that holds the teacher.
        """
        try:
            while True:
                self._staff()
                all_given = self._hand_out(chunks)
                if all_given and not any(worker.asked for worker in self._workers):
                    return
                yield from self._hear()
        finally:
            self._again.clear()
            for worker in self._workers:
                worker.asked.clear()

    def close(self) -> None:
        """Ends the actors, and leaves the cluster if this pool has joined it; ends it if this pool started it."""
        for worker in self._workers:
            self._end(worker)
        self._workers.clear()
        if self._joined:
            self._ray.shutdown()
            self._joined = False

    def _ready_worker(self) -> _Worker:
        while True:
            for worker in self._workers:
                if worker.ready:
                    return worker
            self._staff()
            self._hear()

    def _staff(self) -> None:
        """Starts actors where the cluster has room for more.

        There is always one, if only on its way: where a cluster grows on demand, it is the demand.
        """
        now = time.monotonic()
        if self._early_deaths >= DEATHS or now < self._looked + LOOK_SECONDS:
            return
        self._looked = now
        room = int(self._ray.cluster_resources().get(self._unit, 0))
        wanted = max(1, min(room, self._most or room)) if self._settled_at else 1
        while len(self._workers) < wanted:
            self._workers.append(self._start())

    def _start(self) -> _Worker:
        environment = {"PYTHONPATH": os.pathsep.join([*_own_folders(), "${PYTHONPATH}"])}
        if self._unit == "CPU":
            environment["OMP_NUM_THREADS"] = "1"
        actor = (
            self._ray.remote(_Actor)
            .options(
                num_cpus=int(self._unit == "CPU"),
                num_gpus=int(self._unit == "GPU"),
                max_restarts=0,
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": environment},
            )
            .remote()
        )
        return _Worker(actor, time.monotonic(), actor.place.remote())

    def _hand_out(self, chunks: Iterator[tuple[int, pa.Table]]) -> bool:
        """Asks whoever has least to do until all have enough; True if there is nothing left to ask."""
        while free := [each for each in self._workers if each.ready and self._has_room(each)]:
            if self._again:
                chunk = self._again.popleft()
            elif (following := next(chunks, None)) is not None:
                chunk = _Chunk(*following)
            else:
                return True
            worker = min(free, key=lambda each: len(each.asked))
            worker.asked.append((worker.actor.answer.remote(chunk.rows), chunk))
        return False

    def _has_room(self, worker: _Worker) -> bool:
        """Whether a worker takes one more; what may have killed another is asked alone."""
        suspected = any(chunk.deaths for _, chunk in worker.asked)
        return len(worker.asked) < (1 if self._again or suspected else CHUNKS_PER_ACTOR)

    def _hear(self) -> list[tuple[int, Answers]]:
        """What an actor says next, if one does in time: an answer, or something that is done here."""
        coming = {each.coming: each for each in self._workers if each.coming is not None}
        said, _ = self._ray.wait(list(coming), timeout=LOOK_SECONDS) if coming else ([], [])
        if not coming:
            time.sleep(LOOK_SECONDS)
        self._look_for_life()
        answers = []
        for reference in said:
            worker = coming[reference]
            try:
                answers += self._take(worker, reference)
            except _LostError as error:
                self._bury(worker, error)
        return answers

    def _take(self, worker: _Worker, reference: Any) -> list[tuple[int, Answers]]:
        if worker.address is None:
            worker.address = self._get(reference)
            # Not before: so an actor that is lost without a place has not died of loading.
            worker.beginning = worker.actor.load.remote(self._teacher, self._request, os.getcwd())
        elif not worker.ready:
            self._check(worker, self._get_load(worker))
            worker.ready, self._early_deaths = True, 0
        else:
            answers = _copied(self._get(reference))
            return [(worker.asked.popleft()[1].number, answers)]
        return []

    def _look_for_life(self) -> None:
        now = time.monotonic()
        if any(worker.address for worker in self._workers):
            self._placed = now
        elif now > self._placed + PATIENCE_SECONDS:
            raise StillhouseError(
                f"ray: must have a live node with a free {self._unit} for the teacher, got none in "
                f"{PATIENCE_SECONDS:.0f} s{self._lost}: the same command goes on from what is committed"
            )

    def _get_load(self, worker: _Worker) -> Description:
        """The description of what a worker has loaded; the error of another node than this says which."""
        try:
            description: Description = self._get(worker.beginning)
        except StillhouseError as error:
            here = self._ray.util.get_node_ip_address()
            where = "" if worker.address == here else f" (on node {worker.address})"
            raise StillhouseError(f"{error}{where}") from error.__cause__
        return description

    def _check(self, worker: _Worker, description: Description) -> None:
        """Settles what the teacher is, if this is the first of it; else this one must be the same."""
        if self._settled_at is None:
            self.description, self._settled_at = description, worker.address
            made = {"signals": dict(description.widths), **description.identity}
            self._request = replace(self._request, made=made, sample=None)
            return
        first, other = _compared(self.description), _compared(description)
        for name in [*first, *other]:
            if first.get(name) != other.get(name):
                raise StillhouseError(
                    f"ray: every node must hold the same teacher, got {name} {first.get(name)!r} on "
                    f"{self._settled_at} and {other.get(name)!r} on {worker.address}"
                )

    def _get(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, StillhouseError):
                raise StillhouseError(str(error.cause)) from error
            if isinstance(error.cause, errors.RayError):
                raise _LostError(_reason(error)) from error
            raise StillhouseError(f"ray: must run the teacher on each node, got {_reason(error)}") from error
        except errors.RayError as error:
            if getattr(error, "actor_init_failed", False):
                raise StillhouseError(f"ray: must run the teacher on each node, got {_reason(error)}") from error
            raise _LostError(_reason(error)) from error

    def _bury(self, worker: _Worker, error: _LostError) -> None:
        """Takes back what a dead actor was asked; a chunk, or a load, that has ended too many is an error."""
        self._workers.remove(worker)
        # It may only be out of reach: then its place must be free for another.
        self._end(worker)
        self._lost = f" since one was lost ({error})"
        if worker.address is not None and not worker.ready:
            self._count_early_death(worker, error)
        for _, chunk in reversed(worker.asked):
            chunk.deaths += 1
            if chunk.deaths >= DEATHS:
                what = f"got {DEATHS} that died at chunk {chunk.number} of {len(chunk.rows)} rows"
                raise StillhouseError(f"ray: an actor must survive each chunk, {what}: {error}") from error
            self._again.appendleft(chunk)

    def _end(self, worker: _Worker) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(worker.actor)

    def _count_early_death(self, worker: _Worker, error: _LostError) -> None:
        # Those that a node takes with it are one death: another counts only if it was started since.
        if worker.started > self._last_early_death:
            self._early_deaths += 1
            self._last_early_death = time.monotonic()
        if self._early_deaths >= DEATHS and not self._workers:
            raise StillhouseError(
                f"ray: an actor must survive loading the teacher, got {DEATHS} that died: {error}"
            ) from error


def _join() -> tuple[Any, bool]:
    """Ray, and whether it was this call that joined or started a cluster."""
    try:
        import ray
    except ImportError:
        raise StillhouseError("ray: must be installed for --engine ray: pip install 'stillhouse[ray]'") from None
    if ray.is_initialized():
        return ray, False
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise StillhouseError(f"ray: must reach a cluster or start one, got {_said(error)}") from error
    return ray, True


def _own_folders() -> list[str]:
    """The folders that this process imports from before the standard library: the user's own, and the current one."""
    folders = [os.getcwd()]
    for folder in map(os.path.abspath, sys.path):
        if folder.endswith(".zip") or folder == sysconfig.get_path("stdlib"):
            break
        folders.append(folder)
    return list(dict.fromkeys(folders))


def _compared(description: Description) -> dict[str, Any]:
    return {**description.identity, "classes": description.classes, "widths": dict(description.widths)}


def _copied(answers: Answers) -> Answers:
    """Answers in memory of their own: as they come, they hold on to the cluster's."""
    return replace(answers, signals={name: np.array(matrix) for name, matrix in answers.signals.items()})


def _said(error: BaseException) -> str:
    """An error in one line."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


def _reason(error: BaseException) -> str:
    """The end of what Ray says, where the reason stands, without the pages of advice that may follow it."""
    lines = str(error).strip().splitlines()
    return shorten(lines[-1], 240, placeholder=" ...") if lines else type(error).__name__
