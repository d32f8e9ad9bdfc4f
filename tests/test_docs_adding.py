"""The toy examples of docs/adding-*.md work as they stand: one file, one line, all commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from common import ROOT
from pages import DOCS, Page, install, read_page
from PIL import Image
from torch.nn.functional import cosine_similarity

import pez
from pez.cli import main
from pez.errors import PezError
from pez.evaluation.table import read_rows
from pez.files import data_folder
from pez.models import Reader, open_language_model
from pez.models.families import companions
from pez.models.family import Companions

CAPTURE = pytest.CaptureFixture[str]
MOST_LINES = 30
FAMILY = "adding-a-model-family"
SAMPLES = ROOT / "data" / "samples" / "web"
PAGES = sorted(path.stem for path in DOCS.glob("adding-*.md"))
Add = Callable[[str], Page]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini_at_hand: None, mini: Reader) -> Add:
    """A page carried out: its files and lines are there, its plan lies in a folder with data/."""

    def carry_out(name: str) -> Page:
        page = read_page(DOCS / f"{name}.md")
        install(page)
        for line in page.lines:
            assert line.name not in line.registry, "the line adds nothing"
            monkeypatch.setitem(line.registry, line.name, line.value)
        (tmp_path / "data").symlink_to(ROOT / "data")
        (tmp_path / "plan.toml").write_text(page.plan, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        return page

    return carry_out


def type_in(page: Page, capsys: CAPTURE) -> dict[str, str]:
    """What each command of a page prints, by its verb; all must succeed."""
    printed = {}
    for line in page.commands:
        program, *arguments = shlex.split(line)
        assert program == "pez" and main(arguments) == 0, line
        printed[arguments[0]] = capsys.readouterr().out
        assert printed[arguments[0]].strip()
    return printed


def report_of(printed: dict[str, str]) -> str:
    """The page that the last command wrote."""
    return Path(printed["report"].strip()).read_text(encoding="utf-8")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The table of the page's plan, in which nothing failed."""
    rows = read_rows(folder)
    assert rows and {row["error"] for row in rows} == {""}
    return rows


def test_there_is_a_page_for_each_registry_that_people_add_to() -> None:
    things = ["a-data-set", "a-judge", "a-language-model", "a-method", "a-model-family"]
    things.append("an-objective")
    assert [f"adding-{thing}" for thing in things] == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_an_example_is_one_short_file_and_one_line(name: str) -> None:
    page = read_page(DOCS / f"{name}.md")
    assert len(page.files) == len(page.lines) >= 1
    for (module, source), line in zip(page.files.items(), page.lines, strict=True):
        assert source.count("\n") <= MOST_LINES
        target = line.value if isinstance(line.value, str) else line.value[0]
        assert target.partition(":")[0] == module  # the line names the file
        assert not (ROOT / (module.replace(".", "/") + ".py")).exists()


def test_the_method_is_listed_searches_and_is_reported(
    add: Add, capsys: CAPTURE, tmp_path: Path, pictures: list[Image.Image], mini: Reader
) -> None:
    printed = type_in(add("adding-a-method"), capsys)
    assert "one random swap after another" in printed["methods"]
    assert {row["method"] for row in rows_of(tmp_path / "run")} == {"toy"}
    assert "toy, 3 tokens" in report_of(printed)
    result = pez.invert(pictures[0], reader=mini, method="toy", length=4, steps=40, history=True)
    assert isinstance(result, pez.Result) and result.history
    assert result.score > result.history[0]["score"] + 0.05


def test_the_objective_is_listed_and_changes_what_is_found(
    add: Add, capsys: CAPTURE, tmp_path: Path, pictures: list[Image.Image], mini: Reader
) -> None:
    printed = type_in(add("adding-an-objective"), capsys)
    with pytest.raises(SystemExit):
        main(["invert", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "varied (match, with neighbouring words that differ)" in shown
    assert {"pez, varied words", "caption"} == {row["method"] for row in rows_of(tmp_path / "run")}
    assert "pez, varied words, 3 tokens" in report_of(printed)

    def alike(objective: str) -> float:
        found: Any = pez.invert(
            pictures, reader=mini, objective=objective, method="pez", length=6, steps=60
        )
        assert isinstance(found, list)
        assert {result.options["objective"] for result in found} == {objective}
        words = torch.stack([mini.table[torch.tensor(result.ids)] for result in found])
        return float(cosine_similarity(words[:, 1:], words[:, :-1], dim=-1).mean())

    assert alike("varied") < alike("match") - 0.05


def test_the_data_set_is_listed_drawn_from_and_reported(
    add: Add, capsys: CAPTURE, tmp_path: Path
) -> None:
    page = add("adding-a-data-set")
    (tmp_path / "pictures").mkdir()
    for n, name in enumerate(("red-castle", "blue-fish")):
        (tmp_path / "pictures" / f"{name}.png").write_bytes(
            (SAMPLES / f"web-0{n}.png").read_bytes()
        )
    printed = type_in(page, capsys)
    assert "pictures named by their captions" in printed["datasets"]
    rows = rows_of(tmp_path / "run")
    captions = {row["prompt"] for row in rows if row["method"] == "caption"}
    assert captions == {"red castle", "blue fish"}
    assert "named" in report_of(printed)
    plan = (tmp_path / "plan.toml").read_text().replace('"pictures"', '"elsewhere"')
    (tmp_path / "plan.toml").write_text(plan)
    assert main(["evaluate", "plan.toml", "--output", "other"]) == 2
    assert "elsewhere is not a folder; give one as path." in capsys.readouterr().err


@pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)
def test_the_judge_and_the_kind_are_listed_compare_and_are_reported(
    add: Add, capsys: CAPTURE, tmp_path: Path
) -> None:
    printed = type_in(add("adding-a-judge"), capsys)
    assert "grey thumbnails compared" in printed["models"]
    one, two = (str(SAMPLES / f"web-0{n}.png") for n in (0, 1))
    assert pez.similarity(one, one, judge="layout") == 1
    unlike = pez.similarity(one, two, judge="layout")
    assert 0 < unlike < 1 and printed["similarity"] == f"{unlike:.4f}\n"
    for row in rows_of(tmp_path / "run"):
        pair = [tmp_path / "run" / row[name] for name in ("source", "picture")]
        assert row["similarity"] == pytest.approx(pez.similarity(*pair, judge="layout"))
        assert row["letters"] == sum(map(str.isalpha, row["prompt"])) > 0
    assert "nearness of grey thumbnails" in report_of(printed)
    with pytest.raises(
        PezError, match="layout reads no texts"
    ):  # it declares that it reads no texts
        pez.evaluate(_reading_plan(tmp_path), tmp_path / "texts", device="cpu")


def _reading_plan(folder: Path) -> Path:
    path = folder / "reading.toml"
    text = (folder / "plan.toml").read_text().replace("judges", "readers")
    path.write_text(text)
    return path


def test_the_model_family_is_listed_read_and_searched(add: Add, capsys: CAPTURE) -> None:
    printed = type_in(add(FAMILY), capsys)
    assert "untrained:0" in printed["models"]
    assert [line.split()[-1] for line in printed["tokens"].splitlines()] == ["a", "red", "boat"]
    cosine, prompt = printed["score"].strip().split("  ")
    assert prompt == "a red boat" and -1 < float(cosine) < 1
    one, two = (pez.load_model(f"untrained:{seed}", "cpu") for seed in (0, 1))
    assert not torch.equal(one.table, two.table)


def test_the_language_model_is_listed_and_used(add: Add, capsys: CAPTURE) -> None:
    page = add("adding-a-language-model")
    printed = type_in(page, capsys)
    assert "untaught:0" in printed["models"]
    found = json.loads(printed["invert"])
    assert found["options"]["language_model"] == "untaught:0"
    one, two = (open_language_model(f"untaught:{seed}").perplexities(["a boat"]) for seed in (0, 1))
    assert one != two


def test_a_shipped_model_names_its_companions_and_others_have_the_papers() -> None:
    assert companions("mini") == Companions("mini-judge", "mini-lm")
    assert companions("ViT-L-14/openai") == companions("a reader made in Python") == Companions()
