"""``pez tokens``: chunks, the cut, and colours on a terminal alone."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import pytest
from command_line import CAPTURE, lines

from pez.cli import main
from pez.inspect.words import chunk_ranges
from pez.models import Reader
from pez.search.tokens import Tokens

CODE = re.compile(r"\x1b\[[\d;]*m")


class Terminal(io.StringIO):
    """A standard output that a person looks at."""

    def isatty(self) -> bool:
        return True


def long(tokens: Tokens) -> str:
    """A prompt of two chunks whose 75th token is within a word."""
    text = " ".join(["cat"] * 73 + ["antidisestablishmentarianism"] + ["dog"] * 3)
    assert len(tokens.encode("antidisestablishmentarianism")) > 3
    return text


def test_chunks_end_at_the_end_of_a_word(tokens: Tokens) -> None:
    text = long(tokens)
    chunks = chunk_ranges(tokens.encode, text, tokens.limit)
    assert (tokens.limit, chunks[0]) == (75, range(73))
    assert [place for chunk in chunks for place in chunk] == list(range(len(tokens.encode(text))))
    assert chunk_ranges(tokens.encode, "a cat", 75) == [range(2)]
    assert chunk_ranges(tokens.encode, "antidisestablishmentarianism", 2)[0] == range(2)


def test_chunks_are_those_that_pez_generate_draws(tokens: Tokens) -> None:
    from compel.embeddings_provider import EmbeddingsProvider, SplitLongTextMode
    from transformers import CLIPTokenizer

    from pez.files import data_folder

    own = CLIPTokenizer.from_pretrained(data_folder() / "generators" / "mini-sd" / "tokenizer")

    class Reads:
        device = "cpu"

    encoder: Any = Reads()
    words = SplitLongTextMode.WORDS
    provider = EmbeddingsProvider(own, encoder, truncate=False, split_long_text_mode=words)
    text = "a watercolour painting of a butterfly, (very) nice. " * 6
    ids, _, _ = provider.get_token_ids_and_expand_weights([text], [1.0], device="cpu")
    rows = ids.view(-1, own.model_max_length).tolist()
    plain = {own.bos_token_id, own.eos_token_id}

    def encode(some: str) -> list[int]:
        return own(some, add_special_tokens=False)["input_ids"]

    chunks = chunk_ranges(encode, text, own.model_max_length - 2)
    assert [[i for i in row if i not in plain] for row in rows] == [
        [encode(text)[place] for place in chunk] for chunk in chunks
    ]


def test_chunks_and_the_cut_are_marked(tokens: Tokens, capsys: CAPTURE) -> None:
    text = long(tokens)
    assert main(["tokens", text]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert [n for n, line in enumerate(lines(out)) if "chunk 2 begins" in line] == [73]
    assert ["falls off" in line for line in lines(out)[73:77]] == [False, False, True, True]
    assert "2 chunks" in err and "1-73" in err
    assert main(["tokens", text, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["chunks"] == [[0, 73], [73, row["count"]]]


def shown(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """What a terminal gets."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["tokens", text]) == 0
    monkeypatch.undo()
    return terminal.getvalue()


def test_a_terminal_gets_colours_and_the_text_by_chunks(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = long(tokens)
    seen = shown(monkeypatch, text)
    assert CODE.search(seen)
    plain = CODE.sub("", seen).split("\n")
    assert "chunk 1: tokens 1 to 73" in plain
    after = plain[plain.index("chunk 1: tokens 1 to 73") :]
    assert after[1] == " ".join(["cat"] * 73)
    assert after[3] == "antidisestablishmentarianism dog dog dog"
    lost = re.findall(r"\x1b\[9;31m(.*?)\x1b", seen)
    assert "dog" in lost and "cat" not in lost


def test_no_color_is_respected(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(monkeypatch, long(tokens))


def test_a_token_cannot_act_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    seen = shown(monkeypatch, "a \x1b[2J cat")
    assert "\x1b[2J" not in seen and "cat" in seen


def test_each_token_is_painted_whole(mini: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    seen = shown(monkeypatch, "a red, (small) cat")
    last = [line for line in seen.split("\n") if line][-1]
    assert CODE.sub("", last).replace(" ", "") == "ared,(small)cat"
    assert len(re.findall(r"\x1b\[3[63]m", last)) == len(mini.tokens.encode("a red, (small) cat"))
