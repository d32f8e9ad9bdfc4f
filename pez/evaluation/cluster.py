"""The same batches on a Ray cluster: actors that hold their models, on GPUs where there are any."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pez.errors import PezError
from pez.evaluation.bench import Bench, Tell
from pez.evaluation.store import Record
from pez.evaluation.units import Batch
from pez.evaluation.work import work
from pez.evaluation.workers import Look, retry_or_fail

CPUS = 4  # of an actor where there are no GPUs, and no node is smaller


class Worker:
    """What runs in an actor: :func:`pez.evaluation.work.work`, as it does in one process."""

    def __init__(self, device: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.bench = Bench(device)

    def pid(self) -> int:
        """The number of the actor's process; answers once it is up."""
        return os.getpid()

    def do(self, batch: Batch) -> list[tuple[Record, dict[str, bytes]]]:
        """The outcomes of a batch."""
        out: list[tuple[Record, dict[str, bytes]]] = []
        work(batch, self.bench, lambda record, files: out.append((record, files)))
        return out


@dataclass(eq=False)
class Cluster:
    """A pool (:class:`pez.evaluation.workers.Pool`) of one actor for each GPU, or for every
    ``CPUS`` processors.

    ``address`` is the cluster's, "" that of ``RAY_ADDRESS`` or else a cluster of this machine
    alone. All results come back to this process, which alone writes: an actor that dies loses
    its batch, never a result, and no unit is kept twice. A batch that lost its actor waits for
    another or for a new one. PezError if Ray is not there or does not let us in.
    """

    device: str = "auto"
    address: str = ""
    pids: dict[Any, int] = field(default_factory=dict)  # of actors that are up
    _under: dict[Any, tuple[Any, Batch | None]] = field(default_factory=dict)
    _idle: list[Any] = field(default_factory=list)
    _ours: bool = False

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
        self._gpus, self._cpus, count = _shares(ray)
        for _ in range(count):
            self._start()

    def run(self, batches: Iterator[Batch], tell: Tell, look: Look | None = None) -> None:
        """Do all ``batches``, one at a time in each actor."""
        from ray.exceptions import RayError, RayTaskError

        ray = _ray()
        again: deque[Batch] = deque()
        deaths: Counter[str] = Counter()
        while True:
            while self._idle and (batch := again.popleft() if again else next(batches, None)):
                actor = self._idle.pop()
                self._under[actor.do.remote(batch)] = actor, batch
            if not again and not any(batch for _, batch in self._under.values()):
                batch = next(batches, None)
                if batch is None:
                    return
                again.append(batch)  # no actor is up yet
            done, _ = ray.wait(list(self._under), num_returns=1)
            actor, batch = self._under.pop(done[0])
            try:
                found = ray.get(done[0])
            except RayTaskError:
                raise  # a fault of ours: what a unit can do wrong is among the outcomes
            except RayError:
                self.pids.pop(actor, None)
                self._start()
                if batch is not None:
                    retry_or_fail(batch, deaths, again, tell)
                continue
            self._idle.append(actor)
            if batch is None:
                self.pids[actor] = found
                continue
            for record, files in found:
                tell(record, files)

    def close(self) -> None:
        """Let the actors go, and the cluster if it was started or entered here."""
        ray = _ray()
        for actor in {*self._idle, *(actor for actor, _ in self._under.values())}:
            ray.kill(actor)
        self._idle.clear()
        self._under.clear()
        if self._ours:
            ray.shutdown()

    def _start(self) -> None:
        """Ask for an actor; it is idle once it answers."""
        needs = {"num_cpus": self._cpus, "num_gpus": self._gpus}
        made = _ray().remote(Worker).options(**needs).remote(self.device, self._cpus)
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
