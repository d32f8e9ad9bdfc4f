"""``--workers``: how many processes, or a Ray cluster."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from pez.errors import PezError
from pez.workers.pool import Pool, Serial, Work

MOST = 1024  # processes of one machine


@dataclass(frozen=True)
class Workers:
    """Processes of this machine, or a Ray cluster and its address ("" as Ray finds it)."""

    count: int = 1
    ray: bool = False
    address: str = ""

    @property
    def several(self) -> bool:
        """Whether the work leaves this process."""
        return self.ray or self.count > 1


def read_workers(value: int | str) -> Workers:
    """A number of processes, ``ray`` or ``ray:ADDRESS``. PezError for anything else."""
    name, _, address = str(value).partition(":")
    if name == "ray":
        return Workers(ray=True, address=address)
    try:
        count = int(value)
    except ValueError:
        count = 0
    if count < 1:
        raise PezError(f"--workers takes a number of processes, ray or ray:ADDRESS, not {value!r}.")
    if count > MOST:
        raise PezError(f"--workers must be {MOST} at most, not {count}; each holds the models.")
    return Workers(count)


def open_pool(workers: Workers, work: Work, device: str = "auto") -> Pool:
    """The pool that does the work. PezError if a Ray cluster is unavailable."""
    if workers.ray:
        from pez.workers.cluster import Cluster

        return Cluster(work, device, workers.address)
    if workers.count == 1:
        return Serial(work, device)
    from pez.workers.processes import Processes

    return Processes(work, workers.count, device)


def add_workers(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The argument ``--workers``."""
    parser.add_argument(
        "--workers",
        default="1",
        metavar="N|ray",
        help="processes with models of their own, on a GPU each where there are several; or a "
        "Ray cluster, also ray:ADDRESS (1)",
    )
