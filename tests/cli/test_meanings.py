"""What is typed is taken as it was meant, or refused: a file is no text, a keyword no start."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import CAPTURE, QUICK, lines

from pez.cli import main
from pez.cli.inputs import read_texts
from pez.cli.visible import harmless_output, visible
from pez.errors import PezError
from pez.formats.prompts import names_file

pytestmark = pytest.mark.usefixtures("mini_at_hand")

REFUSED = {
    "prompts": ["distill", "nosuch.txt"],
    "results": ["distill", "nosuch.jsonl"],
    "prompts in a folder": ["distill", "lists/nosuch"],
    "prompts with blanks": ["distill", "my prompts.txt"],
    "banned words": ["distill", "a cat", "--ban", "nosuch.txt"],
    "kept words": ["distill", "a cat", "--keep", "nosuch.txt"],
    "start": ["distill", "a cat", "--init", "nosuch.txt"],
    "start that is there": ["distill", "a cat", "--init", "words.txt"],
    "misspelt start": ["distill", "a cat", "--init", "ranodm"],
    "kept and banned": ["distill", "a cat", "--keep", "duck", "--ban", "duck"],
    "fixed and banned": ["distill", "a cat", "--template", "a duck {}", "--ban", "Duck"],
    "picture to avoid": ["mix", "--text", "a cat", "--negative", "nosuch.jpg"],
    "text of a mix": ["mix", "--text", "words.txt"],
    "vocabulary": ["distill", "a cat", "--vocabulary", "wrods"],
    "prompts to score": ["score", "photos/p0.png", "nosuch.txt"],
}


@pytest.mark.parametrize("command", REFUSED.values(), ids=REFUSED.keys())
def test_nothing_meant_as_a_file_or_keyword_is_taken_as_a_text(
    command: list[str], folder: Path, capsys: CAPTURE
) -> None:
    (folder / "words.txt").write_text("brown")
    quick = QUICK if command[0] != "score" else ["--model", "mini"]
    assert main([*command, *quick]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(lines(err)) == 1


def test_texts_stay_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("a cat", "a cat, IMG_1234.jpg", "a b/w photo", "mid. journey", "v1.5", "(a:1.2)"):
        assert not names_file(text)
        assert read_texts(text) == [text]


def test_files_of_prompts_give_their_prompts(tmp_path: Path) -> None:
    files = {
        "a.txt": "a cat\n\n a dog \n",
        "a.jsonl": '{"prompt": "a cat", "score": 1}\n{"text": "a dog"}\n',
        "a.out": '{"prompt": "a cat"}\n{"prompt": "a dog"}\n',
        "a.json": json.dumps(["a cat", {"prompt": "a dog"}]),
        "a.csv": "score,Prompt\n1,a cat\n2,a dog\n",
        "a.tsv": "score\ttext\n1\ta cat\n2\ta dog\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        assert read_texts(str(tmp_path / name)) == ["a cat", "a dog"], name
    (tmp_path / "b.jsonl").write_text('{"prompt": "a cat"}\n{"score": 1}')
    with pytest.raises(PezError, match="line 2"):
        read_texts(str(tmp_path / "b.jsonl"))


def test_one_text_without_a_word_leaves_its_line_empty(folder: Path, capsys: CAPTURE) -> None:
    (folder / "texts.txt").write_text("a cat\n&nbsp;\na dog\n")
    assert main(["distill", "&nbsp;", *QUICK]) == 2
    capsys.readouterr()
    assert main(["distill", "texts.txt", *QUICK]) == 2
    out, err = capsys.readouterr()
    assert [bool(line) for line in out.split("\n")[:3]] == [True, False, True]
    assert "empty text" in err


def test_lists_of_words_may_have_commas_and_marks(folder: Path, capsys: CAPTURE) -> None:
    (folder / "keep.txt").write_text("tiger, boot", encoding="utf-8-sig")
    assert main(["distill", "a cat", "--keep", "keep.txt", *QUICK]) == 0
    assert {"tiger", "boot"} <= set(capsys.readouterr().out.replace(",", " ").split())


def test_escape_codes_are_shown_not_obeyed(capsys: CAPTURE) -> None:
    assert visible("a\x1b[2Jb\u202ec\x9b\td\n") == "a\\x1b[2Jb\\u202ec\\x9b\td\n"
    assert visible("a\nb", lines=False) == "a\\nb"
    assert main(["invert", "no\x1b[31m\r\u202e.png", *QUICK]) == 2
    err = capsys.readouterr().err
    assert "\\x1b[31m" in err and not set("\x1b\r\u202e") & set(err)
    with harmless_output():
        print("a\x1b[0m")  # no terminal: every byte arrives
        print("b\x1b[0m", file=sys.stderr)
    assert capsys.readouterr() == ("a\x1b[0m\n", "b\\x1b[0m\n")
