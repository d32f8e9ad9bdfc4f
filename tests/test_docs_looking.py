"""The commands and the code of docs/looking-inside.md run as they stand."""

from __future__ import annotations

import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pez.cli import main

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.readme import with_tables

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "looking-inside.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def shown(block: str) -> list[list[str]]:
    """The words of the table that the page prints below a block of commands, if it does. Figures
    are left out: their last digits differ among processors.
    """
    _, _, below = PAGE.partition(f"```sh\n{block}```\n\n```text\n")
    lines = [line for line in below.partition("```")[0].splitlines() if not line.startswith("pez:")]
    return [line.split()[2:] for line in lines]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped data, to run commands in."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.split('"')[0][:40])
def test_commands_of_the_page_run(
    block: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in block.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "pez"
        assert (
            main([*arguments, "--device", "cpu"] if "tokens" not in arguments else arguments) == 0
        )
        assert capsys.readouterr().out.strip()
        for option, name in pairwise(arguments):
            if option in ("--output", "--csv", "--map", "--arrays"):
                assert (checkout / name).stat().st_size


def test_python_of_the_page_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("python"):
        exec(compile(block, "looking-inside.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_table_of_the_page_is_that_of_the_benchmark() -> None:
    assert "| box |" in PAGE and with_tables(PAGE) == PAGE
