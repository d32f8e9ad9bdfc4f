"""Pictures are named by a pattern, safely, and nothing is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pez.cli import main
from pez.errors import PezError
from pez.generation.names import check_pattern, made_name

OWN = {"generator": "owner/mini-sd", "steps": 20, "guidance": 7.5, "scheduler": "dpm++_karras"}


def name(pattern: str, prompt: str = "A red, RED boot", n: int = 7) -> str:
    return made_name(check_pattern(pattern, ".png"), prompt, 42, n, "abc123", OWN)


def test_fields_are_filled() -> None:
    assert name("{prompt:5}-{seed}") == "A-red-42"
    assert name("{n:4}_{key}.png") == "0007_abc123"
    assert name("{generator} {steps} {guidance} {sampler}") == "mini-sd 20 7.5 DPM++-2M-Karras"
    assert name("{prompt}", "../../etc/pass:wd\n<b>") == "etc-pass-wd-b"
    assert name("{prompt}", "красный 赤い") == "красный-赤い"
    assert name("{prompt}", "?!") == "picture"
    assert name("{prompt}", "CON") == "CON_"
    assert len(name("{prompt}-{seed}", "赤い" * 200).encode()) <= 200


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{colour}", r"has \{colour\}; there are \{prompt\}"),
        ("a{", "no field"),
        ("../{seed}", "'/'"),
        ("{seed}\0", r"'\\x00'"),
        (".{seed}", "hides"),
        ("{seed}.jpg", "set --format"),
    ],
)
def test_a_pattern_that_is_not_safe_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(PezError, match=why):
        check_pattern(pattern, ".png")


def test_pictures_have_their_names_and_no_other_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--generator", "mini-sd", "--steps", "1", "--device", "cpu", "--quiet"]

    def run(*more: str) -> tuple[int, list[str], str]:
        code = main(["generate", *more, *flags, "--output", str(tmp_path)])
        said = capsys.readouterr()
        return code, [Path(line).name for line in said.out.splitlines()], said.err

    pattern = ["--name", "{n}-{prompt:6}-{seed}"]
    assert run("a boot", *pattern, "--count", "2")[:2] == (0, ["1-a-boot-0.png", "2-a-boot-1.png"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*-boot-*")}
    assert run("a boot", *pattern, "--count", "2")[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    code, _, said = run("a boots", *pattern)  # the same name, another prompt
    assert code == 2 and "shows another prompt" in said
    code, _, said = run("a boot", "--count", "2", "--name", "{prompt}")
    assert code == 2 and "to two pictures; add {seed}" in said
    # one prompt twice is one picture, and a picture that was cut off is drawn again
    torn = tmp_path / "1-a-boot-0.png"
    torn.write_bytes(torn.read_bytes()[:300])
    assert run("a boot", *pattern)[:2] == (0, [torn.name])
    assert json.dumps("a boot").strip('"') in torn.read_bytes().decode("latin-1")
