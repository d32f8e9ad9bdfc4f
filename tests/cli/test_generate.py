"""``pez generate`` as a user meets it: files, what they record, and resuming after a stop."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pez.cli import generate as room
from pez.cli import main
from pez.cli.parser import make_parser
from pez.generation import GenerateOptions, Painter, open_painter
from pez.generation.files import picture_key, read_record
from pez.models import Reader

CAPTURE = pytest.CaptureFixture[str]
QUICK = ["--generator", "mini-sd", "--device", "cpu", "--steps", "2", "--guidance", "4"]


@pytest.fixture(scope="module")
def loaded() -> Painter:
    """The small generator, loaded once."""
    return open_painter(GenerateOptions(generator="mini-sd", device="cpu", steps=2, guidance=4.0))


@pytest.fixture(autouse=True)
def working(loaded: Painter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in; the plain generator is not loaded again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(room, "open_painter", lambda options: loaded)


def draw(*args: str) -> int:
    return main(["generate", *args, *QUICK])


def test_pictures_tell_how_they_were_drawn(capsys: CAPTURE) -> None:
    assert draw("a red boot", "дракон 龍", "--count", "2", "--output", "out") == 0
    paths = [Path(line) for line in capsys.readouterr().out.split()]
    assert len(paths) == len(set(paths)) == 4
    record = read_record(paths[1])
    assert record is not None
    assert (record["prompt"], record["seed"]) == ("a red boot", 1)
    assert record["settings"]["steps"] == 2 and record["settings"]["generator"] == "mini-sd"
    assert record["key"] == picture_key("a red boot", 1, record["settings"])
    with Image.open(paths[3]) as picture:
        told = picture.text["parameters"]  # type: ignore[attr-defined]
        assert picture.size == (64, 64)
    assert told.startswith("дракон 龍\n")
    assert "Steps: 2" in told and "CFG scale: 4.0" in told and "Seed: 1, Size: 64x64" in told
    (grid,) = Path("out").glob("grid-*.png")
    with Image.open(grid) as sheet:
        assert sheet.size == (2 * 64 + 4, 2 * 64 + 4)
    told = read_record(grid)
    assert told is not None and [row["seed"] for row in told["pictures"]] == [0, 1, 0, 1]


def test_what_is_drawn_is_not_drawn_again(capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw("a fish", "a cat") == 0
    first = capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in Path("pez-pictures").glob("a-*.png")}

    def never(_options: GenerateOptions) -> Painter:
        raise AssertionError("there is nothing to draw")

    with monkeypatch.context() as patch:
        patch.setattr(room, "open_painter", never)
        assert draw("a fish", "a cat") == 0
    assert capsys.readouterr().out == first
    assert draw("a cat", "a cat", "--seed", "1", "--json") == 0  # another seed; once for two
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["path"] == rows[1]["path"] and rows[0]["seed"] == 1
    assert len(list(Path("pez-pictures").glob("a-*.png"))) == 3
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_a_picture_cut_off_is_drawn_anew(capsys: CAPTURE) -> None:
    assert draw("a fish") == 0
    path = Path(capsys.readouterr().out.strip())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert draw("a fish") == 0
    assert path.read_bytes() == whole
    path.write_bytes(b"something else")
    assert draw("a fish") == 0
    assert path.read_bytes() == whole


def test_ctrl_c_keeps_finished_pictures_and_the_same_command_goes_on(
    capsys: CAPTURE, loaded: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def interrupted(prompts, *rest):  # type: ignore[no-untyped-def]
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(prompts)
        return real(prompts[:1], *rest)

    real = loaded._draw
    monkeypatch.setattr(loaded, "_rows", lambda: 1)
    with monkeypatch.context() as patch:
        patch.setattr(loaded, "_draw", interrupted)
        assert draw("a fish", "--count", "3") == 130
    out, err = capsys.readouterr()
    assert len(out.split()) == 2 and all(read_record(Path(p)) for p in out.split())
    assert "1 of 3 pictures are left" in err
    assert draw("a fish", "--count", "3") == 0
    again = capsys.readouterr()
    assert again.out.split()[:2] == out.split() and len(again.out.split()) == 3
    assert "2 of 3 were drawn before" in again.err
    assert not list(Path("pez-pictures").glob("*.part"))


def test_prompts_come_from_files_and_soft_ones_too(
    capsys: CAPTURE, mini: Reader, tmp_path: Path
) -> None:
    Path("lines.txt").write_text("a fish\n\na red boot\n")
    rows = mini.table[torch.tensor(mini.tokens.encode("a red boot"))].clone()
    save_file({"embeddings": rows}, "found.safetensors")
    assert draw("lines.txt", "found.safetensors", "--quiet") == 0
    out, err = capsys.readouterr()
    assert err == ""
    _, text, soft = out.split()
    assert Path(soft).name.startswith("found-soft-")
    with Image.open(text) as a, Image.open(soft) as b:
        apart = np.asarray(a, dtype=int) - np.asarray(b, dtype=int)
        assert np.abs(apart).max() <= 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["x", "--output", "taken"], "cannot make the folder"),
        (["none.txt"], "does not exist"),
        (["words.safetensors"], "not a file of tensors"),
        (["two.safetensors"], "holds 2 words"),
        (["x", "--count", "0"], "--count must be 1 or more"),
        (["x", "--mask", "m.png"], "give the picture as --image"),
        (["x", "--strength", "2"], "between 0 and 1"),
        (["x", "--generator", "mini-ds"], "mini-sd"),
        (["x", "--control-model", "a/b"], "give it as --control"),
        (["x", "--control-kind", "sketch"], "give it as --control"),
        (["x", "--depth-model", "a/b"], "give it as --control"),
        (["x", "--depth-model", "a/b", "--control", "m.png"], "--control-kind depth"),
    ],
)
def test_bad_input_gets_one_sentence(args: list[str], told: str, capsys: CAPTURE) -> None:
    Path("taken").write_text("a file")
    Path("words.safetensors").write_text("no tensors")
    save_file({"a": torch.zeros(1), "b": torch.zeros(1)}, "two.safetensors")
    assert main(["generate", *QUICK, *args]) == 2
    out, err = capsys.readouterr()
    assert out == "" and told in err and err.count("\n") == 1


def test_generators_are_listed_with_the_models(capsys: CAPTURE) -> None:
    assert main(["models", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    draws = {row["name"]: row["note"] for row in rows if row["kind"] == "generator"}
    assert "offline" in draws["mini-sd"] and "stable-diffusion-v1-5" in draws["sd15"]


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_every_format_tells_how_it_was_drawn_and_is_drawn_again(
    form: str, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["--count", "2", "--seed", "4", "--format", form, "--txt", "--quiet"]
    assert draw("дракон, a red boot", *own, "--output", "a") == 0
    first, second = (Path(line) for line in capsys.readouterr().out.split())
    record = read_record(second)
    assert record is not None and record["seed"] == 5
    assert second.with_suffix(".txt").read_text(encoding="utf-8") == "дракон, a red boot\n"
    again = ["generate", "--from", str(second), "--device", "cpu", "--output", "b"]
    assert main([*again, "--format", form, "--quiet"]) == 0
    (copy,) = (Path(line) for line in capsys.readouterr().out.split())
    assert copy.name == second.name and copy.parent != second.parent
    with Image.open(copy) as one, Image.open(second) as other:
        assert one.tobytes() == other.tobytes() and one.format == form.upper()
    with monkeypatch.context() as patch:  # found again by what it records
        patch.setattr(room, "open_painter", None)
        assert draw("дракон, a red boot", *own, "--output", "a") == 0
    second.with_suffix(".txt").write_text("mine")
    first.unlink()
    second.unlink()
    assert draw("дракон, a red boot", *own, "--output", "a") == 2
    assert "exists and is not the prompt of its picture" in capsys.readouterr().err
    assert second.with_suffix(".txt").read_text() == "mine"


def test_a_picture_of_a_web_ui_is_drawn_again(capsys: CAPTURE) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text(
        "parameters",
        "a red boot,\n(fish:1.2)\nNegative prompt: ugly\nSteps: 2, Sampler: DPM++ 2M, "
        'Schedule type: Karras, CFG scale: 4, Seed: 7, Size: 64x64, Model: "x, y", ENSD: 31337',
    )
    Image.new("RGB", (8, 8)).save("theirs.png", pnginfo=info)
    assert (
        main(["generate", "--from", "theirs.png", "--generator", "mini-sd", "--device", "cpu"]) == 0
    )
    out, err = capsys.readouterr()
    record = read_record(Path(out.strip()))
    assert record is not None and record["seed"] == 7
    assert record["prompt"] == "a red boot,\n(fish:1.2)"
    told = record["settings"]
    assert (told["negative"], told["scheduler"], told["guidance"]) == ("ugly", "dpm++_karras", 4.0)
    assert "not taken from theirs.png: Model: x, y, ENSD: 31337" in err
    for args in (["--from", "theirs.png", "a cat"], ["--from", ""], []):
        assert main(["generate", *args, "--generator", "mini-sd"]) == 2
    Image.new("RGB", (8, 8)).save("plain.png")
    assert main(["generate", "--from", "plain.png"]) == 2
    assert "does not say how it was drawn" in capsys.readouterr().err


def test_the_page_on_drawing_names_every_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "generating.md").read_text(encoding="utf-8")
    every = (action.choices for action in make_parser()._actions)
    verbs = next(choices for choices in every if isinstance(choices, dict))
    flags = [flag for action in verbs["generate"]._actions for flag in action.option_strings]
    named = set(re.findall(r"`(--[a-z-]+)", page))
    assert named == {flag for flag in flags if flag.startswith("--")} - {"--help"}


def test_the_commands_of_the_page_on_drawing_run(capsys: CAPTURE) -> None:
    page = (Path(__file__).parents[2] / "docs" / "generating.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.strip().splitlines():
        program, *arguments = shlex.split(line)
        assert program == "pez" and main([*arguments, "--device", "cpu", "--steps", "2"]) == 0
        assert capsys.readouterr().out.strip()
