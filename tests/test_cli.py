"""The command line as a user meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import copy
import io
import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

import pez
import pez.session
from pez.cli import main
from pez.models import Reader

ROOT = Path(__file__).parents[1]
QUICK = ["--model", "mini", "--device", "cpu", "--steps", "20", "--length", "4"]
CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def loaded(mini: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """``mini`` is loaded once; everything else as ever."""
    real = pez.session.load_model

    def load(names: str | Sequence[str], device: str = "auto", dtype: str = "float32") -> Reader:
        if list(names) != ["mini"] or device not in ("auto", "cpu") or dtype != "float32":
            return real(names, device, dtype)
        own = copy.copy(mini)
        own.free_vision = lambda: None
        return own

    monkeypatch.setattr(pez.session, "load_model", load)


@pytest.fixture
def folder(tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three pictures in ``photos``."""
    (tmp_path / "photos").mkdir()
    for n, picture in enumerate(pictures[:3]):
        picture.save(tmp_path / "photos" / f"p{n}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoil(folder: Path) -> None:
    """Everything that people hand in by mistake."""
    whole = (folder / "photos" / "p0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[:400])
    (folder / "empty.png").touch()
    (folder / "bomb.png").write_bytes(bomb(10_000))
    (folder / "none").mkdir()
    (folder / "no.txt").touch()
    (folder / "none" / "latin.txt").write_bytes(b"caf\xe9\n")
    (folder / "words.txt").write_text("qwertzuiop asdfghjkl")


def bomb(side: int) -> bytes:
    """A small PNG file of side x side black points."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        size, check = struct.pack(">I", len(data)), struct.pack(">I", zlib.crc32(kind + data))
        return size + kind + data + check

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes((side // 8 + 1) * side))
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def lines(text: str) -> list[str]:
    return text.split("\n")[:-1]


def test_help_of_every_verb_comes_without_torch() -> None:
    script = """if True:
        import sys
        from pez.cli import main
        verbs = "- invert distill mix score tokens neighbours models methods generate demo"
        for verb in verbs.split():
            try:
                main([verb, "--help"][verb == "-":])
            except SystemExit as end:
                assert not end.code
        assert not {"torch", "open_clip", "PIL", "numpy"} & set(sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pez invert cat.jpg" in done.stdout


def test_stdout_is_the_bare_prompt_and_the_rest_is_on_stderr(folder: Path, capsys: CAPTURE) -> None:
    assert main(["invert", "photos/p0.png", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert len(lines(out)) == 1
    assert len(out.split()) == 4
    assert "score" in err
    assert main(["invert", "photos/p0.png", *QUICK, "--quiet"]) == 0
    assert capsys.readouterr() == (out, "")


def test_json_tells_all_about_a_prompt(folder: Path, mini: Reader, capsys: CAPTURE) -> None:
    assert main(["invert", "photos/p0.png", *QUICK, "--json", "--history", "--restarts", "2"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["ids"] == mini.tokens.encode(row["prompt"])
    assert (row["model"], row["method"], row["seed"]) == ("mini", "pursuit", 0)
    assert row["targets"] == ["photos/p0.png"]
    assert row["steps"] == len(row["history"]) == 20
    assert row["seconds"] > 0
    assert [past["step"] for past in row["history"]] == list(range(20))
    best = max(row["history"], key=lambda past: past["score"])
    assert best["ids"] == row["ids"]
    assert best["score"] == pytest.approx(row["score"], abs=1e-4)


def test_the_score_is_the_one_that_pez_score_gives(folder: Path, capsys: CAPTURE) -> None:
    main(["invert", "photos/p1.png", *QUICK, "--json"])
    row = json.loads(capsys.readouterr().out)
    assert main(["score", "photos/p1.png", row["prompt"], "a dog", "--model", "mini"]) == 0
    first, second = lines(capsys.readouterr().out)
    assert first == f"{row['score']:.4f}  {row['prompt']}"
    assert second.endswith("  a dog")


BAD = {
    "missing picture": "invert nope.png",
    "cut picture": "invert cut.png",
    "empty picture": "invert empty.png",
    "bomb": "invert bomb.png",
    "no pictures": "invert none",
    "nothing given": "invert",
    "dead address": "invert http://127.0.0.1:9/a.png",
    "one of together is bad": "invert --together photos/p0.png cut.png",
    "length over the limit": "invert photos/p0.png --length 400",
    "length -1": "invert photos/p0.png --length -1",
    "length is no number": "invert photos/p0.png --length many",
    "steps 0": "invert photos/p0.png --steps -1",
    "steps beyond reason": "invert photos/p0.png --steps 99999999999999999999",
    "restarts 0": "invert photos/p0.png --restarts 0",
    "endless rate": "invert photos/p0.png --lr inf",
    "seconds are no number": "invert photos/p0.png --seconds nan",
    "unknown model": "invert photos/p0.png --model mni",
    "unknown weights": "invert photos/p0.png --model ViT-B-32/mine",
    "no weights offline": "invert photos/p0.png --model ViT-B-32/openai",
    "no folder of a model": "invert photos/p0.png --model local-dir:nope",
    "model and generator": "invert photos/p0.png --for sdxl",
    "unknown generator": "score photos/p0.png a --for mine",
    "unknown method": "invert photos/p0.png --method magic",
    "unknown device": "invert photos/p0.png --device abacus",
    "unknown dtype": "invert photos/p0.png --dtype int3",
    "unknown schedule": "invert photos/p0.png --method pez --schedule steep",
    "no slot": "invert photos/p0.png --template flat",
    "no words": "invert photos/p0.png --vocabulary words.txt",
    "no word list": "invert photos/p0.png --vocabulary nope.txt",
    "bad start": "invert photos/p0.png --init ids:1,x",
    "output is a folder": "invert photos/p0.png --output photos",
    "output has no place": "invert photos/p0.png --output no.txt/out.jsonl",
    "output is a picture": "invert photos/p0.png --output photos/p1.png",
    "unknown option": "invert photos/p0.png --colour red",
    "unknown verb": "convert photos/p0.png",
    "empty file of texts": "distill no.txt",
    "missing file of texts": "distill nope.txt",
    "folder of texts": "distill none",
    "picture of texts": "distill bomb.png",
    "texts of another code": "distill none/latin.txt",
    "distill restarts 0": "distill cat --restarts 0",
    "distill steps 0": "distill cat --steps -1",
    "ratio 0": "distill cat --ratio 0",
    "distill too long": "distill cat --length 400",
    "weight is no number": "mix --text cat=much",
    "weight 0": "mix --text cat=0",
    "weight of nothing": "mix --text =0.5",
    "nothing to match": "mix --negative blurry=0.2",
    "mix of a missing picture": "mix --image nope.png=0.5",
    "score of a missing picture": "score nope.png cat",
    "two words": "neighbours cat,dog",
    "top 0": "neighbours cat --top 0",
    "tokens of no model": "tokens cat --model mni",
}


@pytest.mark.parametrize("command", BAD.values(), ids=BAD.keys())
def test_bad_input_gets_one_sentence_and_code_2(
    command: str, folder: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parent / "hub"))
    spoil(folder)
    before = {path: path.stat().st_size for path in folder.rglob("*")}
    verb, *rest = command.split()
    takes_model = verb not in ("tokens", "convert") and "--model" not in rest
    model = ["--model", "mini"] if takes_model and command != BAD["unknown generator"] else []
    assert main([verb, *rest, *model]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(lines(err)) == 1
    assert err.startswith("pez: ")
    assert err.endswith(".\n") or err.endswith("?\n")
    assert "Traceback" not in err
    assert {path: path.stat().st_size for path in folder.rglob("*")} == before


def test_an_unknown_model_is_told_the_nearest_names(capsys: CAPTURE, folder: Path) -> None:
    assert main(["invert", "photos", "--model", "mni"]) == 2
    assert "mini" in capsys.readouterr().err


def test_an_empty_stdin_is_bad_input(capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in (io.StringIO(" \n\n"), io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), "utf-8")):
        monkeypatch.setattr(sys, "stdin", given)
        assert main(["distill", "-", *QUICK]) == 2
        assert len(lines(capsys.readouterr().err)) == 1


def test_a_text_that_is_not_utf8_is_bad_input(capsys: CAPTURE) -> None:
    for command in (["distill", "caf\udce9"], ["mix", "--text", "caf\udce9=1"]):
        assert main([*command, *QUICK]) == 2
        assert len(lines(capsys.readouterr().err)) == 1


def test_texts_longer_than_a_file_name_are_texts(capsys: CAPTURE) -> None:
    long = "a red cat and a dog " * 30
    assert main(["mix", "--text", "cat", "--negative", long, *QUICK]) == 0
    assert main(["distill", long, *QUICK]) == 0
    assert "reads only the first" in capsys.readouterr().err


def test_names_and_signs_of_any_code_do_no_harm(
    folder: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "photos/\udcff.png"
    shutil.copy("photos/p0.png", odd)
    assert main(["invert", odd, *QUICK, "--json", "--output", "out.jsonl"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == json.loads(Path("out.jsonl").read_text(encoding="utf-8"))
    narrow = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert main(["tokens", "🐱"]) == 0


def test_the_others_of_a_bad_picture_are_done_and_its_line_is_empty(
    folder: Path, capsys: CAPTURE
) -> None:
    assert main(["invert", "photos", *QUICK]) == 0
    first, second, third = lines(capsys.readouterr().out)
    for bad in ("p1.png", "p2.png"):
        (folder / "photos" / bad).write_bytes(b"no picture")
        expected = [first, "", third] if bad == "p1.png" else [first, "", ""]
        for _ in range(2):  # the second time only the bad ones are left
            assert main(["invert", "photos", *QUICK]) == 2
            out, err = capsys.readouterr()
            assert lines(out) == expected
            assert bad in err
    assert second


def test_one_file_given_twice_has_two_lines(folder: Path, capsys: CAPTURE) -> None:
    twice = ["invert", "photos/p0.png", "photos/p1.png", "photos/p0.png", *QUICK]
    assert main([*twice, "--output", "out.jsonl"]) == 0
    first, second, third = lines(capsys.readouterr().out)
    assert first == third != second
    stored = [json.loads(line)["prompt"] for line in lines(Path("out.jsonl").read_text())]
    assert sorted(stored) == sorted([first, second, third])


def test_a_prompt_depends_neither_on_neighbours_nor_on_rows(folder: Path, capsys: CAPTURE) -> None:
    assert main(["invert", "photos", *QUICK, "--restarts", "2"]) == 0
    together = lines(capsys.readouterr().out)
    for n, prompt in enumerate(together):
        assert main(["invert", f"photos/p{n}.png", *QUICK, "--restarts", "2"]) == 0
        assert lines(capsys.readouterr().out) == [prompt]
    assert main(["invert", "photos", *QUICK, "--restarts", "2", "--rows", "2"]) == 0
    assert lines(capsys.readouterr().out) == together


def test_a_seed_repeats_and_another_seed_differs(folder: Path, capsys: CAPTURE) -> None:
    found = []
    for seed in ("5", "5", "6"):
        assert main(["invert", "photos/p0.png", *QUICK, "--steps", "2", "--seed", seed]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] != found[2]


def test_output_holds_what_json_prints(folder: Path, capsys: CAPTURE) -> None:
    assert main(["invert", "photos", *QUICK, "--json", "--output", "new/out.jsonl"]) == 0
    printed = lines(capsys.readouterr().out)
    assert sorted(lines(Path("new/out.jsonl").read_text(encoding="utf-8"))) == sorted(printed)


def test_together_gives_one_prompt_in_its_template(folder: Path, capsys: CAPTURE) -> None:
    style = ["--together", "--template", "a dog in the style of {}"]
    assert main(["invert", "photos", "photos/p0.png", *QUICK, *style, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["prompt"].startswith("a dog in the style of ")
    assert row["targets"] == [f"photos/p{n}.png" for n in (0, 1, 2, 0)]


def test_distill_gives_a_line_for_each_line_in_their_order(
    folder: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        "a red cat sits on a blue car in the snow",
        "a dog",
        "",
        "a red cat and a dog by a tree",
    ]
    Path("texts.txt").write_text("\ufeff" + "\r\n".join(texts), encoding="utf-8")
    distill = ["distill", "--ratio", "0.5", "--json", "--model", "mini", "--steps", "5"]
    assert main([*distill, "texts.txt"]) == 0
    out = capsys.readouterr().out
    rows = [json.loads(line) for line in lines(out)]
    assert [row["targets"] for row in rows] == [[text] for text in texts if text]
    assert [len(row["ids"]) for row in rows] == [6, 1, 4]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(texts)))
    assert main([*distill, "-"]) == 0
    again = [json.loads(line)["prompt"] for line in lines(capsys.readouterr().out)]
    assert again == [row["prompt"] for row in rows]


def test_mix_names_its_targets_with_their_weights(folder: Path, capsys: CAPTURE) -> None:
    entries = [
        "--image",
        "photos/p0.png=0.7",
        "--text",
        "oil painting=0.3",
        "--negative",
        "dog=0.2",
    ]
    assert main(["mix", *entries, *QUICK, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["targets"] == ["photos/p0.png=0.7", "oil painting=0.3", "dog=-0.2"]


def test_tokens_marks_what_falls_off(capsys: CAPTURE, mini: Reader) -> None:
    over = 3
    text = " ".join(["cat"] * mini.limit + ["dog"] * over)
    assert main(["tokens", text, "--model", "mini"]) == 0
    out, err = capsys.readouterr()
    marked = [line for line in lines(out) if "falls off" in line]
    assert len(lines(out)) == mini.limit + over
    assert marked == lines(out)[mini.limit :]
    assert "dog dog dog" in err
    assert main(["tokens", text, "--model", "mini", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["count"] == len(row["ids"]) == row["limit"] + over
    assert row["round_trip"]


def test_neighbours_come_nearest_first(capsys: CAPTURE) -> None:
    assert main(["neighbours", "dog", "--top", "5", "--model", "mini", "--json"]) == 0
    rows = [json.loads(line) for line in lines(capsys.readouterr().out)]
    assert len(rows) == 5
    assert rows[0]["token"] == "dog"
    assert rows[0]["cosine"] == pytest.approx(1, abs=1e-5)
    assert [r["cosine"] for r in rows] == sorted((r["cosine"] for r in rows), reverse=True)


def test_models_and_methods_are_listed(capsys: CAPTURE) -> None:
    assert main(["models", "--json"]) == 0
    rows = [json.loads(line) for line in lines(capsys.readouterr().out)]
    names = [row["name"] for row in rows]
    assert names.index("mini") < names.index("ViT-L-14/openai")
    assert main(["methods"]) == 0
    assert "pez" in [line.split()[0] for line in lines(capsys.readouterr().out)]


def test_without_a_verb_the_help_is_printed(capsys: CAPTURE) -> None:
    assert main([]) == 0
    assert "usage: pez" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = """if True:
        import sys, types
        from pez import cli
        commands = types.ModuleType("pez.commands")
        commands.models = lambda args: [print("x" * 100) for _ in range(10_000)] and 0
        sys.modules["pez.commands"] = commands
        import pez
        pez.commands = commands
        sys.exit(cli.main(["models"]))
    """
    command = f"\"{sys.executable}\" -c '{script}' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
