"""Ctrl-C: the first asks a search to stop, the second leaves."""

import signal
import threading

import pytest
from common import jobs_for
from engine_runs import run

from pez.cli.interrupt import on_interrupt
from pez.search.engine import Budget, Progress
from pez.search.problem import Problem
from pez.search.stop import Stop


def test_one_interrupt_stops_and_a_second_leaves(problem: Problem) -> None:
    before = signal.getsignal(signal.SIGINT)
    stop, count = Stop(), iter(range(1, 10**6))

    def interrupt(_progress: Progress) -> None:
        if next(count) == 5:
            signal.raise_signal(signal.SIGINT)

    with on_interrupt(stop):
        found = run(problem, jobs_for(2), Budget(1000), stop=stop, on_progress=interrupt)
        assert [f.steps for f in found] == [5, 5]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_search_in_a_thread_leaves_interrupts_alone(problem: Problem) -> None:
    before, found = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with on_interrupt(Stop()) as stop:  # a web page stops by ``asked`` alone
            stop.asked = signal.getsignal(signal.SIGINT) is not before
            found.extend(run(problem, jobs_for(1), Budget(2), stop=stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [f.steps for f in found] == [2]
