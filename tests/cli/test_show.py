"""The progress bar: one look for searches, plans and drawing, and silence without a terminal."""

from __future__ import annotations

import io
import re
import sys

import pytest

from pez.cli.evaluate import Stages
from pez.cli.show import Bar
from pez.search.engine import Progress

LOOK = re.compile(r" *(\d+)%\|.{16}\| [\d:]+<[\d:?]+ (.*)")


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[tuple[int, str]]:
        """Each state of a bar: its percentage and the text behind it."""
        found = [LOOK.fullmatch(text.strip()) for text in re.split(r"[\r\n]", self.getvalue())]
        return [(int(m[1]), m[2]) for m in found if m]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    monkeypatch.setenv("COLUMNS", "100")
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


def test_searches_drawing_and_plans_have_one_look(terminal: Terminal) -> None:
    bar = Bar()
    bar(progress(0), "a dog")
    bar.close()
    bar(progress(50), "a cat")
    bar.close()
    assert (50, "1/2 0.250 a cat") in terminal.lines()
    bar.draw(20, 80)
    bar.close()
    assert (25, "20/80 steps") in terminal.lines()
    stages = Stages()
    stages.notice("reading", 1, 2)
    stages.stage("prompts", 4)
    assert terminal.lines()[-1] == (0, "0/4")
    stages.close()
    assert "pez: reading 1/2" in terminal.getvalue()


def test_a_long_prompt_is_cut_to_the_terminal(terminal: Terminal) -> None:
    bar = Bar()
    bar(progress(50), "word " * 100)
    bar.close()
    shown = [text for _, text in terminal.lines()]
    assert shown and all(text.endswith("…") for text in shown)
    assert all(len(line) < 100 for line in re.split(r"[\r\n]", terminal.getvalue()))


def test_a_quiet_bar_shows_nothing(terminal: Terminal) -> None:
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
