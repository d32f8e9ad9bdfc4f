"""Who does the batches: this process, or several. Each worker holds its own models."""

from __future__ import annotations

import os
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import Any, Protocol

from pez.evaluation.bench import Bench, Tell
from pez.evaluation.store import Record
from pez.evaluation.units import Batch, batch_id
from pez.evaluation.work import work

TRIES = 3  # of a batch whose worker dies

Look = Callable[[Batch, float], None]  # the share of a batch under way that is done


class Pool(Protocol):
    """Does batches and tells of each unit; a unit may be told twice, with equal outcomes."""

    def run(self, batches: Iterator[Batch], tell: Tell, look: Look | None = None) -> None:
        """Do all ``batches``."""
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...


@dataclass(eq=False)
class Serial:
    """One batch after another, here."""

    device: str = "auto"
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        self.bench = Bench(self.device)

    def run(self, batches: Iterator[Batch], tell: Tell, look: Look | None = None) -> None:
        """Do all ``batches``; each unit is told as soon as it is done."""
        for batch in batches:
            work(batch, self.bench, tell, (lambda part, b=batch: look(b, part)) if look else None)

    def close(self) -> None:
        """Nothing is held but memory."""


@dataclass(eq=False)
class Processes:
    """``count`` processes of this machine, each with its own models and a GPU where there are
    several. One that dies is replaced, and its batch done again.
    """

    count: int
    device: str = "auto"
    _workers: dict[Any, Any] = field(default_factory=dict)  # connection -> process

    def run(self, batches: Iterator[Batch], tell: Tell, look: Look | None = None) -> None:
        """Do all ``batches``; each unit is told as soon as it is done."""
        again: deque[Batch] = deque()
        busy: dict[Any, Batch] = {}
        deaths: Counter[str] = Counter()

        def give(connection: Any) -> None:
            batch = again.popleft() if again else next(batches, None)
            if batch is not None:
                busy[connection] = batch
                with suppress(OSError):  # a dead one is found out by reading from it
                    connection.send(batch)

        while len(self._workers) < self.count:
            self._start()
        for connection in list(self._workers):
            give(connection)
        while busy:
            for connection in wait(list(busy)):
                batch = busy[connection]
                try:
                    what = connection.recv()  # type: ignore[union-attr]
                except (EOFError, OSError):
                    del busy[connection]
                    self._workers.pop(connection).join()
                    retry_or_fail(batch, deaths, again, tell)
                    give(self._start())
                    continue
                if what is None:
                    del busy[connection]
                    give(connection)
                else:
                    tell(*what)

    def close(self) -> None:
        """End all workers."""
        for connection, process in self._workers.items():
            connection.close()
            process.terminate()
            process.join()
        self._workers.clear()

    def _start(self) -> Any:
        place = len(self._workers)
        context = get_context("spawn")  # CUDA and threads do not survive a fork
        ours, theirs = context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // self.count)
        process = context.Process(
            target=_serve, args=(theirs, _device(self.device, place), threads), daemon=True
        )
        process.start()
        theirs.close()
        self._workers[ours] = process
        return ours


def retry_or_fail(batch: Batch, deaths: Counter[str], again: deque[Batch], tell: Tell) -> None:
    """Put a batch whose worker died back, or after ``TRIES`` tell its units as failed."""
    deaths[batch.id] += 1
    if deaths[batch.id] < TRIES:
        again.append(batch)
        return
    keys = [task.key for task in batch.tasks]
    why = f"the worker died {TRIES} times over this batch of {len(keys)}; memory may be short."
    for task in batch.tasks:
        tell(Record(batch.kind, task.key, task.spec, {}, why, 0.0, batch_id(keys)), {})


def _device(name: str, place: int) -> str:
    """A GPU for each worker in turn."""
    import torch

    count = torch.cuda.device_count() if name == "auto" else 0
    return f"cuda:{place % count}" if count else name


def _serve(connection: Any, device: str, threads: int) -> None:
    """A worker: batches in, outcomes out, None behind the last one of a batch."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who gives the work
    torch.set_num_threads(threads)
    bench = Bench(device)
    while True:
        try:
            batch = connection.recv()
        except EOFError:
            return
        work(batch, bench, lambda record, files: connection.send((record, files)))
        connection.send(None)
