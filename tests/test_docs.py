"""What the README tells people to type works as written."""

from __future__ import annotations

import pkgutil
import re
import shlex
import sys
from pathlib import Path

import pytest

from pez.cli import main

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.readme import with_tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped data, to run commands in."""
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(block: str) -> list[str]:
    """The answers that the README prints below a block of commands, if it does."""
    _, _, below = README.partition(f"```sh\n{block}```\n\n```text\n")
    return [line for line in below.partition("```")[0].splitlines() if not line.startswith("pez: ")]


def words_of(line: str) -> str:
    """A line without its figures, whose last digits differ among processors."""
    return re.sub(r"-?\d+\.\d+", "#", line)


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.split("\n")[0][:40])
def test_commands_of_the_readme_print_what_it_shows(
    block: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If not, ``python benchmarks/readme.py`` brings the README up to date."""
    out = ""
    for line in block.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "pez"
        assert main([*arguments]) == 0
        printed = capsys.readouterr().out
        assert printed.strip()
        out += printed
    if shown(block):
        assert list(map(words_of, out.splitlines())) == list(map(words_of, shown(block)))


def test_tables_of_the_readme_are_those_of_the_benchmarks() -> None:
    assert with_tables(README) == README, "python benchmarks/readme.py brings them up to date"


def test_python_of_the_readme_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("name", ["speed", "quality", "table1", "transfer"])
def test_figures_of_the_readme_come_from_the_benchmarks(name: str) -> None:
    text = (ROOT / "benchmarks" / f"{name}.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert tables and tables[0].strip() in README


def test_every_file_the_readme_names_exists() -> None:
    for path in re.findall(r"`?((?:data|benchmarks|pez)/[\w./-]+)`?", README):
        assert (ROOT / path).exists(), path


PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_exists(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for path in re.findall(r"`((?:data|benchmarks|pez|tests)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (page.parent / link).exists(), link
    for name in re.findall(r"`(pez(?:\.\w+)+)`", text):
        assert pkgutil.resolve_name(name) is not None, name
