"""Several workers: the same outcomes as one, whoever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pez.errors import PezError
from pez.evaluation.kinds import make_kind
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.run import evaluate
from pez.evaluation.show import Listener
from pez.evaluation.table import COLUMNS
from pez.evaluation.units import Batch, Task
from pez.evaluation.workers import Evaluating
from pez.workers.choose import read_workers
from pez.workers.pool import TRIES, Queue
from pez.workers.processes import Processes

PLAN = """
models = ["mini"]
[data]
dataset = "samples"
split = "scenes"
count = 4
[[methods]]
name = "pez"
lengths = [3]
steps = 3
options = { init = "random" }
"""
SAME = [name for name in COLUMNS if name != "seconds"]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few units make several batches."""
    for kind in ("prompt", "reading"):
        monkeypatch.setattr(type(make_kind(kind)), "size", 1)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def alone(tmp_path: Path) -> list[dict[str, Any]]:
    """The rows of one worker."""
    return evaluate(parse_plan(PLAN), tmp_path / "alone", device="cpu")


class Killing(Listener):
    """Kills one of a pool's workers once the first unit is done; counts all units."""

    def __init__(self, pool: Any) -> None:
        self.pool, self.killed, self.units = pool, 0, 0

    def step(self, failed: bool) -> None:
        self.units += 1
        if not self.killed:
            self.killed = max(self.pids())
            os.kill(self.killed, signal.SIGKILL)

    def pids(self) -> list[int]:
        if isinstance(self.pool, Processes):
            return [worker.process.pid for worker in self.pool._workers.values()]
        return list(self.pool.pids.values())


def check(rows: list[dict[str, Any]], alone: list[dict[str, Any]], bar: Killing) -> None:
    """Every unit was done exactly once, and as by one worker."""
    assert bar.killed and bar.units == 8
    assert [r["error"] for r in rows] == [""] * 4
    for one, other in zip(rows, alone, strict=True):
        for name in SAME:
            same = other[name]
            assert one[name] == (pytest.approx(same, abs=1e-4) if name.endswith("score") else same)


def test_a_process_that_is_killed_is_replaced(tmp_path: Path, alone: list[dict[str, Any]]) -> None:
    pool = Processes(Evaluating(), 2, "cpu")
    bar = Killing(pool)
    rows = evaluate(parse_plan(PLAN), tmp_path / "many", workers=pool, device="cpu", listener=bar)
    check(rows, alone, bar)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of two nodes with one processor each; its address."""
    ray = pytest.importorskip("ray", reason="Ray (the extra pez-prompts[ray]) is not installed")
    from ray.cluster_utils import Cluster as TestCluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = TestCluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    assert cluster.address
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


def test_two_ray_nodes_do_every_unit_once_when_a_worker_is_killed(
    tmp_path: Path, alone: list[dict[str, Any]], two_nodes: str
) -> None:
    from pez.workers.cluster import Cluster

    pool = Cluster(Evaluating(), "cpu", two_nodes)
    assert (pool._gpus, pool._cpus, len(pool._under)) == (0, 1, 2)
    bar = Killing(pool)
    rows = evaluate(parse_plan(PLAN), tmp_path / "ray", workers=pool, device="cpu", listener=bar)
    check(rows, alone, bar)
    assert bar.killed not in pool.pids.values()


def test_a_batch_that_kills_its_workers_is_given_up_with_a_reason() -> None:
    batch = Batch("score", "score", (), tuple(Task(k * 64, {}) for k in "ab"))
    told = []
    queue = Queue(iter([batch]), Evaluating(), told.append)
    for _ in range(TRIES):
        assert not told
        turn = queue.take()
        assert turn and turn.chunk is batch
        queue.died(turn)
    assert queue.take() is None
    assert [record.key for record, _ in told] == ["a" * 64, "b" * 64]
    assert all("the worker died 3 times" in record.error for record, _ in told)


@pytest.mark.parametrize("bad", ["0", "-1", "many", "1.5", ""])
def test_workers_are_a_number_or_ray(bad: str, tmp_path: Path) -> None:
    with pytest.raises(PezError, match="--workers takes a number"):
        read_workers(bad)
    with pytest.raises(PezError, match="--workers takes a number"):
        evaluate(parse_plan(PLAN), tmp_path, workers=bad)
