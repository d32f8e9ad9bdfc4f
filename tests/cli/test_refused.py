"""Bad input on the command line: one sentence, exit code 2, and nothing is written."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import pytest
from command_line import CAPTURE, QUICK, lines

from pez.cli import main

pytestmark = pytest.mark.usefixtures("mini_at_hand")


def spoil(folder: Path) -> None:
    """Everything that users pass by mistake."""
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
    "steps -1": "invert photos/p0.png --steps -1",
    "steps beyond reason": "invert photos/p0.png --steps 99999999999999999999",
    "restarts 0": "invert photos/p0.png --restarts 0",
    "endless rate": "invert photos/p0.png --lr inf",
    "rate is no number": "invert photos/p0.png --method pez --lr nan",
    "rate below 0": "invert photos/p0.png --method pez --set lr=-1",
    "fewer targets than none": "invert photos/p0.png --batch-size -1",
    "settings of other methods": "invert photos/p0.png --lr 55 --schedule nonsense",
    "setting of other methods": "distill cat --method random --set lr=1",
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
    "distill steps -1": "distill cat --steps -1",
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
