"""A run's folder: nothing of the user's is replaced, one run writes, losses are made good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from common import SMALL_PLAN

from pez.errors import PezError, PezWarning
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.report import report
from pez.evaluation.run import evaluate
from pez.evaluation.store import MARK, OWN, Store
from pez.files import data_folder
from pez.files.lock import InUse, Lock

PLAN = SMALL_PLAN.replace("count = 3", "count = 1")
PAINT = '[[generators]]\nname = "mini-sd"\npictures = 1\noptions = { steps = 2 }\n'
paints = pytest.mark.skipif(
    not (data_folder() / "generators" / "mini-sd").is_dir(), reason="the small generator is absent"
)


@pytest.mark.parametrize("name", OWN)
def test_a_folder_with_files_of_the_user_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(PezError, match=f"{name} is there already"):
        evaluate(parse_plan(PLAN), tmp_path, device="cpu")
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "mine"


def test_a_second_run_in_a_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    Store(tmp_path).create()
    part = tmp_path / ".parts" / ".pez-1.part"
    part.write_text("of the running one")
    with Lock(tmp_path, folder=True):
        Store(tmp_path).create()
        with pytest.raises(InUse, match=f"process {os.getpid()}"):
            evaluate(parse_plan(PLAN), tmp_path, device="cpu")
        assert part.exists()


def test_folders_of_earlier_versions_are_known_and_edited_plans_stay(tmp_path: Path) -> None:
    rows = evaluate(parse_plan(PLAN), tmp_path, device="cpu")
    (tmp_path / MARK).unlink()
    (tmp_path / ".parts").rmdir()  # as copied by a shell's *
    assert evaluate(parse_plan(PLAN), tmp_path, device="cpu") == rows
    edited = (tmp_path / "plan.toml").read_text() + "# mine\n"
    (tmp_path / "plan.toml").write_text(edited)
    with pytest.raises(PezError, match="was changed by hand"):
        evaluate(parse_plan(PLAN), tmp_path, device="cpu")
    assert (tmp_path / "plan.toml").read_text() == edited
    assert evaluate(parse_plan(edited), tmp_path, device="cpu") == rows


def damage(file: Path, how: str) -> None:
    """Lose a file, or some of it."""
    data = file.read_bytes()
    if how == "lost":
        file.unlink()
    else:
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
        file.write_bytes({"cut": data[:middle], "empty": b"", "changed": changed}[how])


@pytest.mark.parametrize("how", ["lost", "cut", "empty", "changed"])
def test_a_lost_original_is_drawn_again(how: str, tmp_path: Path) -> None:
    rows = evaluate(parse_plan(PLAN), tmp_path, device="cpu")
    (file,) = (tmp_path / "originals").rglob("*.png")
    before = file.read_bytes()
    damage(file, how)
    more = PLAN.replace("lengths = [3]", "lengths = [3, 2]")
    with pytest.warns(PezWarning, match="1 pictures of samples web .* drawn again"):
        wider = evaluate(parse_plan(more), tmp_path, device="cpu")
    assert file.read_bytes() == before
    assert [row for row in wider if row in rows] == rows
    assert [row["error"] for row in wider] == [""] * 3


def test_an_original_that_cannot_be_drawn_again_fails_alone(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    sample = data_folder() / "samples" / "web"
    for name in ("web-00.png", "web-01.png"):
        (data / name).write_bytes((sample / name).read_bytes())
    text = PLAN.replace('"samples"', '"folder"').replace('split = "web"', f'path = "{data}"')
    text = text.replace("count = 1", "count = 2")
    evaluate(parse_plan(text), run, device="cpu")
    for file in (run / "originals").rglob("*.png"):
        if file.read_bytes() == (data / "web-01.png").read_bytes():
            file.unlink()
    (data / "web-01.png").write_bytes((sample / "web-02.png").read_bytes())
    more = text.replace("lengths = [3]", "lengths = [2]")
    with pytest.warns(PezWarning):
        rows = evaluate(parse_plan(more), run, device="cpu")
    failed = {row["item"] for row in rows if row["error"]}
    assert failed == {"web-01.png"}
    assert "its picture was lost" in next(row["error"] for row in rows if row["error"])


@paints
@pytest.mark.parametrize(("how", "retry"), [("lost", False), ("cut", True), ("changed", True)])
def test_a_lost_picture_is_drawn_again(how: str, retry: bool, tmp_path: Path) -> None:
    rows = evaluate(parse_plan(PLAN + PAINT), tmp_path, device="cpu")
    file = next(tmp_path.glob("units/picture/*/*.png"))
    before = file.read_bytes()
    damage(file, how)
    with pytest.warns(PezWarning, match="1 files in .* made again"):
        assert evaluate(parse_plan(PLAN + PAINT), tmp_path, retry=retry, device="cpu") == rows
    assert file.read_bytes() == before


@pytest.mark.parametrize("suffix", ["html", "csv", "tex", "parquet"])
def test_a_report_takes_no_file_of_the_user(suffix: str, tmp_path: Path) -> None:
    evaluate(parse_plan(PLAN), tmp_path / "run", device="cpu")
    mine, page = tmp_path / f"prompts.{suffix}", tmp_path / "prompts.html"
    mine.write_text("item,prompt,method\n")
    with pytest.raises(PezError, match=f"prompts.{suffix} exists and is not"):
        report(tmp_path / "run", output=page)
    assert os.listdir(tmp_path / "run")
    assert sorted(os.listdir(tmp_path)) == sorted([mine.name, "run"])
    mine.unlink()
    assert (
        report(tmp_path / "run", output=page).files == report(tmp_path / "run", output=page).files
    )
