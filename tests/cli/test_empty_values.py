"""An empty value, as of a shell's variable that is not set, is never taken for none."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import CAPTURE, lines

from pez.cli import main
from pez.cli.parser import make_parser

pytestmark = pytest.mark.usefixtures("mini_at_hand")

EMPTY = {
    "results": ["invert", "photos", "--output", ""],
    "results, joined": ["distill", "a cat", "--output="],
    "pictures": ["generate", "a cat", "--generator", "mini-sd", "--output", " "],
    "a second model": ["invert", "photos", "--model", "mini", "--model", ""],
    "embeddings": ["invert", "photos", "--method", "soft", "--output-embeddings", ""],
    "prompts made elsewhere": ["evaluate", "plan.toml", "--prompts", ""],
    "a page": ["report", "photos", "--output", ""],
    "prompt to draw": ["generate", "", "--generator", "mini-sd"],
    "prompt to score": ["score", "photos/p0.png", " ", "--model", "mini"],
    "text to split": ["tokens", ""],
}


@pytest.mark.parametrize("command", EMPTY.values(), ids=EMPTY.keys())
def test_an_empty_value_is_refused(command: list[str], folder: Path, capsys: CAPTURE) -> None:
    before = sorted(folder.rglob("*"))
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == "" and "empty" in err and len(lines(err)) == 1
    assert sorted(folder.rglob("*")) == before


def test_options_given_several_times_are_lists_and_nothing_to_avoid_is_a_value() -> None:
    parser = make_parser()
    given = parser.parse_args(["mix", "--text", "a", "--text", "b", "--length", "4"])
    assert (given.text, given.image, given.length) == (["a", "b"], None, 4)
    again = parser.parse_args(["mix", "--text", "c"])
    assert again.text == ["c"]
    assert parser.parse_args(["generate", "a", "--negative", ""]).negative == ""
