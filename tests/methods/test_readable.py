"""Shorter prompts that read well."""

from __future__ import annotations

from typing import Any

import pytest

import pez
from pez.cli.parser import make_parser
from pez.errors import PezError
from pez.models import Reader
from pez.options import DistillOptions

LONG = "a small sketch of a dragon on a red background, pencil drawing of a boat and a lemon"


def test_a_readable_text_reads_better_than_a_plain_one_and_means_nearly_the_same(
    mini: Reader,
) -> None:
    settings: dict[str, Any] = {"reader": mini, "length": 9, "language_model": "mini-lm"}
    said = pez.distill(LONG, readable=True, **settings)
    plain = pez.distill(LONG, steps=10, style="words", **settings)
    assert isinstance(said, pez.Result) and isinstance(plain, pez.Result)
    assert said.method == "sentence" and said.prompt.startswith("a ")
    assert said.perplexity and plain.perplexity and said.perplexity < plain.perplexity / 2
    random = pez.distill(LONG, method="random", steps=1, **settings)
    assert isinstance(random, pez.Result) and said.score > random.score + 0.1


def test_only_what_writes_no_sentence_is_refused() -> None:
    assert DistillOptions(readable=True, method="sentence").style == "sentence"
    with pytest.raises(PezError, match="--method pez does not; omit one"):
        DistillOptions(readable=True, method="pez")
    with pytest.raises(PezError, match="--style words does not; omit one"):
        DistillOptions(readable=True, style="words")
    assert "readable" not in DistillOptions().record()
    assert DistillOptions(readable=True).record()["readable"] is True


def test_the_command_line_has_the_flag() -> None:
    args = make_parser().parse_args(["distill", LONG, "--readable"])
    assert args.readable is True
