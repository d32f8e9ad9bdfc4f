"""Workers on a Ray cluster: actors that hold their models, on GPUs where there are any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pez.errors import PezError
from pez.workers.pool import Look, Queue, Stopped, Tell, Turn, Work

CPUS = 4  # of an actor where there are no GPUs and no node is smaller
STARTS = 4  # of actors in a row that fail, before no more are tried
EVERY = 0.2  # seconds between two looks at whether to stop


class Worker:
    """What runs in an actor: the same work as in one process."""

    def __init__(self, work: Work, device: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.work, self.device = work, device
        self.held: list[Any] = []

    def pid(self) -> int:
        """The number of the actor's process; answers once it is up."""
        return os.getpid()

    def do(self, chunk: Any) -> tuple[list[Any], str]:
        """The outcomes of a chunk, and the message of a PezError if there was one."""
        out: list[Any] = []
        try:
            if not self.held:
                self.held.append(self.work.open(self.device))
            self.work.do(self.held[0], chunk, out.append, lambda _: None, lambda: False)
        except PezError as error:
            return out, str(error)
        return out, ""


@dataclass(eq=False)
class Cluster:
    """A pool (:class:`pez.workers.pool.Pool`) of one actor for each GPU, or for every ``CPUS``
    processors.

    ``address`` is the cluster's, "" that of ``RAY_ADDRESS`` or else a cluster of this machine
    alone. All outcomes come back to this process, those of a chunk at once: an actor that dies
    loses its chunk, which waits for another or a new actor. At a stop the chunks in progress are
    lost. A chunk's progress is not reported. PezError if Ray is missing or refuses the connection.
    """

    work: Work
    device: str = "auto"
    address: str = ""
    pids: dict[Any, int] = field(default_factory=dict)  # of actors that are running
    _under: dict[Any, tuple[Any, Turn | None]] = field(default_factory=dict)
    _idle: list[Any] = field(default_factory=list)
    _ours: bool = False
    _failed: int = 0  # actors in a row that died before they were up

    def __post_init__(self) -> None:
        ray = _ray()
        if not ray.is_initialized():
            # under `uv run` Ray would build uv's environment anew on every node, from the network
            os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
            address = self.address or os.environ.get("RAY_ADDRESS") or None
            local = {} if address else {"include_dashboard": False}
            try:
                ray.init(address=address, log_to_driver=False, logging_level="error", **local)
            except Exception as error:  # Ray raises ConnectionError, ValueError and its own
                raise PezError(_why(address, error)) from error
            self._ours = True
        self._gpus, self._cpus, self._count = _shares(ray)
        for _ in range(self._count):
            self._start()

    @property
    def size(self) -> int:
        """How many actors the cluster has room for."""
        return self._count

    def run(
        self,
        chunks: Iterator[Any],
        tell: Tell,
        look: Look | None = None,
        stopped: Stopped | None = None,
    ) -> None:
        """Do all ``chunks``, one at a time in each actor."""
        from ray.exceptions import RayError, RayTaskError

        ray = _ray()
        queue = Queue(chunks, self.work, tell)
        waiting = queue.take()  # the next chunk, for which no actor may be free
        while not (stopped and stopped()):
            while self._idle and waiting:
                actor = self._idle.pop()
                self._under[actor.do.remote(waiting.chunk)] = actor, waiting
                waiting = queue.take()
            if not waiting and not any(turn for _, turn in self._under.values()):
                return
            timeout = EVERY if stopped else None
            for done in ray.wait(list(self._under), num_returns=1, timeout=timeout)[0]:
                actor, turn = self._under.pop(done)
                try:
                    found = ray.get(done)
                except RayTaskError:
                    raise  # a bug of ours: a user's mistake is a PezError
                except RayError as error:
                    self.pids.pop(actor, None)
                    self._died(turn is None, error)
                    if turn is not None:
                        queue.died(turn)
                    waiting = waiting or queue.take()
                    continue
                self._idle.append(actor)
                if turn is None:
                    self.pids[actor], self._failed = found, 0
                    continue
                outcomes, refused = found
                for outcome in outcomes:
                    tell(outcome)
                if refused:
                    raise PezError(refused)

    def close(self) -> None:
        """Stop the actors, and leave the cluster if it was started or joined here."""
        ray = _ray()
        for actor in {*self._idle, *(actor for actor, _ in self._under.values())}:
            ray.kill(actor)
        self._idle.clear()
        self._under.clear()
        if self._ours:
            ray.shutdown()

    def _died(self, starting: bool, error: Exception) -> None:
        """Request another actor in place of a dead one, unless several died as they started.
        PezError once that has left none.
        """
        self._failed += starting
        if self._failed < STARTS:
            self._start()
        elif not self._idle and not self._under:
            why = str(error).strip().split("\n")[0][:160] or type(error).__name__
            raise PezError(
                f"no worker could start on the Ray cluster, after {self._failed} tries ({why}); "
                "check that pez and its models are installed on its nodes, and their memory."
            )

    def _start(self) -> None:
        """Request an actor; it is idle once it answers."""
        needs = {"num_cpus": self._cpus, "num_gpus": self._gpus}
        made = _ray().remote(Worker).options(**needs).remote(self.work, self.device, self._cpus)
        self._under[made.pid.remote()] = made, None


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise PezError("--workers ray needs Ray; pip install 'pez-prompts[ray]'.") from None
    return ray


def _shares(ray: Any) -> tuple[int, int, int]:
    """GPUs and CPUs of an actor, and how many actors there are room for."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus:
        return 1, 1, gpus
    own = max(1, min([CPUS, *(n for n in cpus if n)]))
    return 0, own, max(1, sum(n // own for n in cpus))


def _why(address: str | None, error: Exception) -> str:
    why = str(error).strip().split("\n")[0][:160] or type(error).__name__
    where = address or "on this machine"
    mend = "start it with ray start --head and check the address"
    if "auth" in f"{type(error).__name__} {why}".lower():
        mend = "give the head's token in RAY_AUTH_TOKEN, or its file in RAY_AUTH_TOKEN_PATH"
    return f"the Ray cluster {where} cannot be reached ({why}); {mend}."
