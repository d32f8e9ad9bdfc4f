"""A run that is killed ten times, as a script: PLAN.toml CALM KILLED THREADS.

Everything is imported once; then each run is a forked process of its own, so that a kill costs
no import of torch. CALM gets an undisturbed run, KILLED one that SIGKILL ended again and again
and that was then left to finish. Prints the number of kills and of runs.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from pez.evaluation.kinds import make_kind
from pez.evaluation.plan import painter_options
from pez.evaluation.plan_file import read_plan
from pez.evaluation.readable import measure
from pez.evaluation.run import evaluate
from pez.generation import open_painter
from pez.models import load_model

KILLS, SEED = 10, 4


def get_ready(plan: Path) -> None:
    """Import all that a run imports, by opening its models once. No thread may be started: it
    would not survive the fork.
    """
    torch.set_num_threads(1)
    measure("a word")
    found = read_plan(plan)
    for name in (*found.models[0], *found.judges):
        load_model(name, "cpu")
    for generator in found.generators:
        open_painter(painter_options(generator, "cpu"))


def start(plan: Path, folder: Path, threads: int) -> int:
    """A process that carries out ``plan``; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        torch.set_num_threads(threads)
        evaluate(read_plan(plan), folder, device="cpu")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def files(folder: Path) -> int:
    """The number of units' files."""
    return sum(1 for _ in folder.glob("units/*/*/*"))


def killed_when(pid: int, folder: Path, many: int, later: float) -> bool:
    """Kill a run ``later`` seconds after it has ``many`` files; whether it was still running."""
    while files(folder) < many:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    time.sleep(later)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def main(plan: Path, calm: Path, killed: Path, threads: int) -> tuple[int, int]:
    """The numbers of kills and of runs that ended before they could be killed."""
    get_ready(plan)
    assert os.waitpid(start(plan, calm, threads), 0)[1] == 0
    dice, kills, ended = random.Random(SEED), 0, 0
    while kills < KILLS:
        for many in sorted(dice.sample(range(files(calm)), KILLS - kills)):
            if killed_when(start(plan, killed, threads), killed, many, 0.1 * dice.random()):
                kills += 1
                continue
            ended += 1
            if kills < KILLS:  # the rest of the kills are of a new run
                shutil.rmtree(killed)
            break
    assert os.waitpid(start(plan, killed, threads), 0)[1] == 0
    return kills, ended


if __name__ == "__main__":
    for name, size in {"prompt": 2, "picture": 2, "score": 3, "reading": 3}.items():
        type(make_kind(name)).size = size
    where = [Path(name) for name in sys.argv[1:4]]
    print(*main(where[0], where[1], where[2], int(sys.argv[4])))
