"""``pez classify`` as it is typed: the page's commands, files, and what is refused."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path

import pytest
from command_line import CAPTURE
from pages import DOCS, read_page
from tiny_speakers import tiny_gpt2

from pez.cli import main
from pez.session.classify_options import ClassifyOptions

WORDS = ["film", "story", "plot", "cast", "people", "time", "man", "acting"]
QUICK = ["--steps", "1", "--restarts", "1", "--finalists", "1", "--random", "1"]
SIZES = ["--validation", "4", "--test-size", "8"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_gpt2(tmp_path_factory.mktemp("model")))


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> Path:
    """A folder with a table of reviews; a small model in the place of the usual one."""
    monkeypatch.setattr(ClassifyOptions, "usual_model", model)
    monkeypatch.chdir(tmp_path)
    lines = ["text,label"]
    for n, (one, two) in enumerate(itertools.permutations(WORDS, 2)):
        lines.append(f"the {one} is {('bad', 'good')[n % 2]} and the {two},{n % 2}")
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(lines))
    return path


def test_commands_of_the_page_run(reviews: Path, capsys: CAPTURE) -> None:
    commands = read_page(DOCS / "classify.md").commands
    assert len(commands) >= 5
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "pez"
        given = [*arguments, *QUICK, *SIZES, "--vocabulary", "whole", "--device", "cpu"]
        assert main(given) == 0, command
        assert len(capsys.readouterr().out.splitlines()) == 1
    result = json.loads(Path("found.jsonl").read_text())
    assert result["figures"]["test"]["manual"][0]["prompt"] == "The review is"
    assert Path("tuned.safetensors").stat().st_size > 100


ASKED = ["classify", "reviews.csv", "--labels", "negative,positive", "--vocabulary", "whole"]


def test_a_result_in_the_file_is_not_searched_again(reviews: Path, capsys: CAPTURE) -> None:
    asked = [*ASKED, *QUICK, *SIZES, "--shots", "4", "--json", "--output", "out.jsonl"]
    assert main(asked) == 0
    first = capsys.readouterr()
    assert main(asked) == 0
    again = capsys.readouterr()
    assert again.out == first.out and "1 of 1 were done before" in again.err
    reviews.write_text(reviews.read_text() + "\nanother good text,1\n")
    assert main([*asked, "--quiet"]) == 0  # other texts: searched again
    assert json.loads(capsys.readouterr().out)["key"] != json.loads(first.out)["key"]


def test_what_is_measured_is_told(reviews: Path, capsys: CAPTURE) -> None:
    assert main([*ASKED, *QUICK, *SIZES, "--shots", "4", "--length", "2"]) == 0
    out, err = capsys.readouterr()
    assert len(out.split()) == 2
    assert "the labels of reviews.csv: 0 is negative, 1 is positive" in err
    assert "on 8 texts: raw " in err and "no prompt" in err and "random: " in err


@pytest.mark.parametrize(
    ("content", "options", "what"),
    [
        ("", [], "is empty"),
        ("text,label\na,0\nb,0\n", [], "all rows of reviews.csv have the label 0"),
        ("text,label\na,0\nb,1\nc,0\nd,1\n", [], "too few rows for 16 examples"),
        (None, ["--labels", "bad,dull,good"], "--labels names 3"),
        (None, ["--label-words", "good"], "1 words for 2 labels"),
        (None, ["--label-words", "good,good"], "are the same tokens"),
        (None, ["--label-words", "very,very good"], "is the beginning of"),
        (None, ["--template", "{text}{label}"], "has no {prompt}"),
        (None, ["--template", "{prompt}{label}{text}"], "put {label} last"),
        (None, ["--method", "exchange"], "does not apply"),
        (None, ["--method", "vgd"], "is for CLIPs"),
        (None, ["--fluency", "1"], "below 1"),
        (None, ["--shots", "0"], "--shots must be 1 or more"),
        (None, ["--test-file", "nowhere.csv"], "nowhere.csv"),
        (None, ["--label-words", "good,"], "has an empty part"),
        (None, ["--label-words", ","], "has an empty part"),
        (None, ["--shots", "100"], "too few rows for 100 examples"),
        (None, ["--length", "0"], "--length must be 1 or more"),
        (None, ["--length", "500"], "leaves none for a text"),
        (None, ["--model", "mini"], "has no head for next words"),
        (None, ["--model", "reviews.csv"], "is no GGUF file"),
        (None, ["--model", "openai-community/gpt2"], "cannot be downloaded"),
        (None, ["--model", "no.gguf"], "there is no file no.gguf"),
        (None, ["--output", "reviews.csv"], "not a file of pez's results"),
        ("text;label\na;0\nb;1\n", [], "separated by ';'"),
        ("text,label\na,0,1\n", [], "3 cells where the first line has 2"),
        ("text,label\nb\xe9,0\n", [], "is not UTF-8 text; give CSV"),
        ("a,0\nb,1\n", ["--text-column", "1"], "places are given for both columns"),
        ("text,label\na,x\nb,y\n", [], "no row of reviews.csv has the label 'negative'"),
        (None, ["--test-file", "."], "holds no parquet"),
        (None, ["--prompt", "x", "--output-embeddings", "y"], "is for a search"),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    reviews: Path, capsys: CAPTURE, content: str | None, options: list[str], what: str
) -> None:
    if content is not None:
        reviews.write_bytes(content.encode("latin-1"))
    assert main([*ASKED, "--validation", "8", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and what in err and "Traceback" not in err


def test_packed_files_are_to_be_unpacked(reviews: Path, capsys: CAPTURE) -> None:
    reviews.rename("reviews.csv.gz")
    assert main(["classify", "reviews.csv.gz"]) == 2
    assert "unpack it first" in capsys.readouterr().err


def test_what_is_left_out_is_told(reviews: Path, capsys: CAPTURE) -> None:
    """Copies, gaps and texts of two labels; a test file with the texts that are searched with."""
    text = reviews.read_text()
    twice = text.splitlines()[1].rpartition(",")[0]
    lines = [",1", *text.splitlines()[1:3], f"{twice},1", f"{twice},0"]
    reviews.write_text("\n".join([text, *lines]))
    sizes = ["--shots", "14", "--validation", "99", "--test-file"]
    Path("test.csv").write_text(f"{text}\na new text,positive\n")
    assert main([*ASKED, *QUICK, *sizes, "test.csv"]) == 2
    assert "test.csv has no text that is not searched with" in capsys.readouterr().err
    sizes[3] = "9"
    assert main([*ASKED, *QUICK, *sizes, "test.csv"]) == 0
    err = capsys.readouterr().err
    assert "rows of reviews.csv that are left out: 1 without a text or a label; " in err
    assert "3 as copies of others." in err
    assert "rows of test.csv that are left out: 1 with other labels; 4" in err
    assert "not measured on, as their texts are searched with or chosen by." in err
    Path("test.csv").write_text("text,label\na new text,positive\nanother,negative\n")
    assert main([*ASKED, *QUICK, *sizes, "test.csv"]) == 0  # by what 0 and 1 are called
    assert "on 2 texts: raw" in capsys.readouterr().err


def test_long_texts_are_cut_and_counted(reviews: Path, capsys: CAPTURE) -> None:
    long = "good " * 300
    reviews.write_text(reviews.read_text() + f"\n{long}a,1\n{long}b,0\n")
    sizes = ["--shots", "4", "--validation", "4", "--test-size", "999"]
    assert main([*ASKED, *QUICK, *sizes]) == 0
    assert "2 texts are longer than" in capsys.readouterr().err
