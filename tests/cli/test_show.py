"""The progress bar: one look for searches, plans and drawing, and silence without a terminal."""

from __future__ import annotations

import io
import re
import sys
from time import sleep

import pytest

from pez.cli.evaluate import Stages
from pez.cli.show import Bar
from pez.search.engine import Progress

SELDOM = 0.15  # seconds after which a bar is drawn again
LOOK = re.compile(r" *(\d+)%\|.{16}\| [\d:]+<[\d:?]+ (.*)")


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[tuple[int, str]]:
        """Each state of a bar: its percentage and the text behind it."""
        found = [LOOK.fullmatch(text.strip()) for text in re.split(r"[\r\n]", self.getvalue())]
        return [(int(m[1]), m[2]) for m in found if m]


def open_terminal(patch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as stderr; not a fixture, as pytest sets stderr again before the test itself."""
    screen = Terminal()
    patch.setattr(sys, "stderr", screen)
    patch.setenv("COLUMNS", "100")
    return screen


def progress(steps: int) -> Progress:
    """Of a search of 100 steps with two jobs."""
    return Progress(steps=steps, total=100, done=1, jobs=2, score=0.25, ids=[1])


def show_all(bar: Bar, stages: Stages) -> None:
    """A search, drawing and a plan."""
    bar(progress(50), "a cat")
    bar.close()
    bar.draw(20, 80)
    bar.close()
    stages.notice("reading", 1, 2)
    stages.stage("prompts", 4)
    stages.begin("pez of web-00")
    stages.part(1.5)
    stages.step(False)
    stages.close()


def test_searches_drawing_and_plans_have_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    bar = Bar()
    bar(progress(0), "a dog")
    sleep(SELDOM)
    bar(progress(50), "a cat")
    bar.close()
    assert terminal.lines() == [(0, "1/2 0.250 a dog"), (50, "1/2 0.250 a cat")]
    bar.draw(0, 80)
    sleep(SELDOM)
    bar.draw(20, 80)
    bar.close()
    assert terminal.lines()[2:] == [(0, "0/80 steps"), (25, "20/80 steps")]
    stages = Stages()
    stages.notice("reading", 1, 2)
    stages.stage("prompts", 4)
    assert terminal.lines()[-1] == (0, "0/4")
    stages.begin("pez of web-00")  # shown at once: a batch may take minutes
    assert terminal.lines()[-1] == (0, "0/4 pez of web-00")
    sleep(SELDOM)
    stages.part(1.0)
    assert terminal.lines()[-1] == (25, "1/4 pez of web-00")
    stages.close()
    assert "pez: reading 1/2" in terminal.getvalue()


def test_a_long_prompt_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    bar = Bar()
    bar(progress(50), "word " * 100)
    bar.close()
    shown = [text for _, text in terminal.lines()]
    assert shown and all(text.endswith("…") for text in shown)
    assert all(len(line) < 100 for line in re.split(r"[\r\n]", terminal.getvalue()))


def test_a_quiet_bar_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    show_all(Bar(quiet=True, lines=4), Stages(quiet=True))
    assert terminal.getvalue() == ""


def test_without_a_terminal_only_plain_lines_are_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    show_all(Bar(), Stages())
    assert plain.getvalue() == "pez: prompts: 4 to do\n"
    show_all(Bar(lines=2), Stages(quiet=True))
    assert plain.getvalue().endswith("    50 steps  0.250  a cat\n")
