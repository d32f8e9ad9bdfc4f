"""A family of models is one file and one line; whatever takes a model's name asks the families."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import pez
from pez.cli import main
from pez.errors import PezError
from pez.models import FAMILIES, model_tokens
from pez.models.generators import ALIASES, GENERATORS, find_generator, models_for
from pez.models.identity import identity
from pez.models.names import OFFLINE

CAPTURE = pytest.CaptureFixture[str]
SEARCH = ["--steps", "3", "--length", "2", "--vocabulary", "few.txt", "--device", "cpu", "--json"]


@pytest.fixture
def toys(folder: Path, few_words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with pictures, and the toy family of one line."""
    (folder / "few.txt").write_text(few_words.read_text())
    monkeypatch.setitem(FAMILIES, "bag", "toy_family:Bags")


@pytest.mark.usefixtures("toys")
def test_a_family_of_one_line_is_searched_listed_scored_and_identified(capsys: CAPTURE) -> None:
    def said(*words: str) -> list[dict[str, Any]]:
        assert main([*words]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    (found,) = said("invert", "photos/p0.png", "--model", "bag:3", "--method", "gcg", *SEARCH)
    assert found["model"] == "bag:3" and len(found["prompt"].split()) == 2
    (score,) = said("score", "photos/p0.png", found["prompt"], "--model", "bag:3", "--json")
    assert score["score"] == pytest.approx(found["score"], abs=1e-5)
    (other,) = said("score", "photos/p0.png", found["prompt"], "--model", "bag:4", "--json")
    assert abs(other["score"] - found["score"]) > 0.01, "other vectors"
    (split,) = said("tokens", "a red cat", "--model", "bag:3", "--json")
    assert split["ids"] == model_tokens("").encode("a red cat")
    assert "bag:1" in [row["name"] for row in said("models", "--json")]
    assert identity("bag:3") == "bag:3@second"
    short = pez.distill("a red cat on a boat", model="bag:3", steps=2, length=2, device="cpu")
    assert isinstance(short, pez.Result) and short.score > 0
    assert main(["tokens", "cat", "--model", "bga:1"]) == 2
    assert "bag:1" in capsys.readouterr().err, "the nearest name is of any family"
    assert main(["score", "photos/p0.png", "cat", "--model", "bag:x"]) == 2
    assert "write bag:1" in capsys.readouterr().err


def test_without_its_line_the_name_is_unknown() -> None:
    with pytest.raises(PezError, match="unknown model 'bag:3'"):
        pez.load_model("bag:3", "cpu")


def test_each_name_is_claimed_by_its_family_alone() -> None:
    from pez.models.families import open_family

    families: dict[str, Any] = {name: open_family(where) for name, where in FAMILIES.items()}
    for name, family in families.items():
        listed = [row["name"] for row in family.names()]
        assert listed or name == "photo", "whose folders come with their training"
        for model in listed:
            assert [n for n, other in families.items() if other.claims(model)] == [name]
            assert family.weights(model) is not None
            assert not any(families[n].weights(model) for n in families if n != name)


# ------------------------------------------------------------------------- one table


def test_a_generator_that_can_be_searched_for_can_be_drawn_with_and_the_other_way() -> None:
    for name in (*GENERATORS, *ALIASES, "SD-1.5", "SD3.5"):
        found = find_generator(name)
        assert found.readers == models_for(name)
        assert found.folder or found.source.count("/") == 1
    assert models_for(OFFLINE) == ("mini",)
    assert find_generator("mini") == find_generator(OFFLINE)
    assert find_generator(OFFLINE).steps, "its card's"
    assert models_for(GENERATORS["sdxl"].source) == GENERATORS["sdxl"].readers


def test_a_generator_whose_readers_are_not_known_is_said_to_draw_alone(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    for name in (str(tmp_path), "someone/else"):
        with pytest.raises(PezError, match=r"can draw .*--model"):
            models_for(name)


def test_a_folder_of_a_loose_name_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sd-15").mkdir()
    (tmp_path / "sd-15" / "model_index.json").write_text("{}")
    assert find_generator("sd-15").folder == Path("sd-15")
    assert find_generator("sd15").size == 512
