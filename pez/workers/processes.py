"""Workers that are processes of this machine, each with its own models."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import Any

from pez.errors import PezError, PezWarning
from pez.workers.pool import Look, Queue, Stopped, Tell, Turn, Work

STOP = b""  # sent to a busy worker: return what is ready
EVERY = 0.2  # seconds between progress reports, and between checks for a stop


@dataclass(eq=False)
class Worker:
    """A process, its place among the workers, which gives it its GPU, and whether its models are
    loaded.
    """

    process: Any
    place: int
    ready: bool = False


@dataclass(eq=False)
class Processes:
    """A pool (:class:`pez.workers.pool.Pool`) of at most ``count`` processes, started when there
    is work for them. With several GPUs each has its own, else they share the CPU's threads.
    One that dies is replaced, and its chunk done again.

    Messages are pickled here, not by multiprocessing: torch makes that leave tensors in shared
    memory, where they are lost with their process.
    """

    work: Work
    count: int
    device: str = "auto"
    _workers: dict[Any, Worker] = field(default_factory=dict)  # by connection

    @property
    def size(self) -> int:
        """How many processes there may be."""
        return self.count

    def run(
        self,
        chunks: Iterator[Any],
        tell: Tell,
        look: Look | None = None,
        stopped: Stopped | None = None,
    ) -> None:
        """Do all ``chunks``; each outcome is reported as soon as it is ready."""
        queue = Queue(chunks, self.work, tell)
        idle = list(self._workers)
        busy: dict[Any, Turn] = {}
        asked = False
        while True:
            if not asked and stopped and stopped():
                asked = True
                for connection in busy:
                    if self._workers[connection].ready:
                        _send(connection, STOP)
                    else:  # it has no results yet, and loading may take minutes
                        self._workers[connection].process.terminate()
            while not asked and (idle or len(self._workers) < self.count):
                turn = queue.take()
                if turn is None:
                    break
                connection = idle.pop() if idle else self._start()
                busy[connection] = turn
                _send(connection, pickle.dumps((turn.chunk, look is not None)))
            if not busy:
                return
            for connection in wait(list(busy), EVERY if stopped else None):
                turn = busy[connection]
                try:
                    kind, what = pickle.loads(connection.recv_bytes())  # type: ignore[union-attr]
                except (EOFError, OSError):
                    del busy[connection]
                    self._workers.pop(connection).process.join()
                    if not asked:
                        queue.died(turn)
                    continue
                if kind == "told":
                    tell(what)
                elif kind == "look" and look:
                    look(turn.chunk, what)
                elif kind == "ready":
                    self._workers[connection].ready = True
                elif kind == "refused":
                    raise PezError(what)
                elif kind == "broken":
                    raise RuntimeError(f"a worker failed:\n{what}")
                elif kind == "done":
                    del busy[connection]
                    idle.append(connection)

    def close(self) -> None:
        """End all workers."""
        for connection, worker in self._workers.items():
            connection.close()
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()
        self._workers.clear()

    def _start(self) -> Any:
        taken = {worker.place for worker in self._workers.values()}
        place = next(n for n in range(self.count) if n not in taken)
        context = get_context("spawn")  # CUDA and threads do not survive a fork
        ours, theirs = context.Pipe()
        threads = max(1, (os.cpu_count() or 1) // self.count)
        device = device_of(self.device, place)
        process = context.Process(
            target=_serve, args=(theirs, self.work, device, threads), daemon=True
        )
        with _ctrl_c_waits():
            process.start()
        theirs.close()
        self._workers[ours] = Worker(process, place)
        return ours


def device_of(name: str, place: int) -> str:
    """The device of the worker at ``place``: ``auto`` and ``cuda`` give a GPU to each worker in
    turn; any other name is the device of all workers.
    """
    import torch

    count = torch.cuda.device_count() if name in ("auto", "cuda") else 0
    return f"cuda:{place % count}" if count else name


def _send(connection: Any, message: bytes) -> None:
    """Send to a worker; a dead one is detected when it is read from."""
    with suppress(OSError):
        connection.send_bytes(message)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Processes started within never receive Ctrl-C, which is for this process and arrives
    here afterwards. They inherit the blocked signal; ignoring it once they run would be too
    late, as importing torch takes seconds.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # it is started with the first process, and then unblocks Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Any, work: Work, device: str, threads: int) -> None:
    """A worker: chunks in, outcomes out, "done" after the last one of a chunk. It ends when
    the other end closes.
    """
    import torch
    from tqdm import tqdm

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _quiet_libraries()
    tqdm.set_lock(threading.RLock())  # its own is a semaphore that outlives a killed process
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    held: list[Any] = []

    def send(kind: str, what: Any) -> None:
        try:
            connection.send_bytes(pickle.dumps((kind, what)))
        except OSError:
            raise SystemExit from None

    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        if message == STOP:  # it came after the chunk was done
            continue
        chunk, watched = pickle.loads(message)
        look = _seldom(lambda value: send("look", value)) if watched else lambda _: None
        try:
            if not held:
                held.append(work.open(device))
                send("ready", None)
            # nothing is sent to a busy worker but STOP; also true once the other end is closed
            work.do(held[0], chunk, lambda outcome: send("told", outcome), look, connection.poll)
        except PezError as error:
            send("refused", str(error))
        except Exception:
            send("broken", traceback.format_exc())
        else:
            send("done", None)


def _quiet_libraries() -> None:
    """Warnings and logs of libraries are for developers: they come with ``python -W default``."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
    warnings.filterwarnings("always", category=PezWarning)


def _seldom(look: Callable[[Any], None]) -> Callable[[Any], None]:
    """``look``, called at most once every ``EVERY`` seconds."""
    last = 0.0

    def now_and_then(value: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            look(value)

    return now_and_then
