"""What people expect of a folder of pictures: names on a terminal, tables, captions, choices."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from command_line import CAPTURE, QUICK, lines
from safetensors import safe_open

import pez
from pez.cli import main
from pez.cli.outputs import stem_of
from pez.errors import PezError
from pez.files.lock import Lock
from pez.formats.tables import read_table
from pez.images import read_image
from pez.models import Reader
from pez.options import InvertOptions
from pez.result import Result

pytestmark = pytest.mark.usefixtures("mini_at_hand")
FOLDER = ["invert", "photos", *QUICK]


def table(path: str) -> list[dict[str, str]]:
    return [row for _, row in read_table(path, "")][1:]


def pipe(patch: pytest.MonkeyPatch, data: bytes) -> None:
    """``data`` on standard input."""
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# ---- on a terminal


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_shows_names_and_scores_and_a_pipe_bare_prompts(
    folder: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("photos/bad.png").write_text("no picture")
    assert main(FOLDER) == 2
    out, err = capsys.readouterr()
    bare = lines(out)
    assert bare[0] == "" and all(bare[1:]) and not any(".png" in line for line in bare)
    assert "pez: 3 done, 1 failed, mean score 0." in lines(err)[-1]
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(FOLDER) == 2
    shown = os.read(ours, 10_000).decode().split()
    os.close(ours)
    assert shown[:3] == ["bad.png", "-", "p0.png"] and 0 < float(shown[3]) < 1
    words = " ".join(bare).split()
    assert [word for word in shown if word in words] == words


# ---- tables and captions


def test_a_table_has_every_picture_once_and_other_rows_stay(folder: Path, capsys: CAPTURE) -> None:
    Path("t.csv").write_text('image,prompt,score\n\'=x.png,"a, b",-0.5\nphotos/p1.png,old,0.1\n')
    assert main([*FOLDER, "--csv", "t.csv"]) == 0
    out, err = capsys.readouterr()
    rows = table("t.csv")
    assert rows[0] == {"image": "=x.png", "prompt": "a, b", "score": "-0.5"}
    assert [row["image"] for row in rows[1:]] == [f"photos/p{n}.png" for n in range(3)]
    assert [row["prompt"] for row in rows[1:]] == lines(out)
    assert "1 older prompts in t.csv were replaced" in err
    assert not [name for name in os.listdir() if name.endswith(("lock", "part"))]


@pytest.mark.parametrize("name", ["mine.csv", "mine.txt", "photos/p0.png"])
def test_a_table_takes_no_file_of_the_users(name: str, folder: Path, capsys: CAPTURE) -> None:
    if not name.startswith("photos"):
        Path(name).write_text("image,prompt\n1,2\n")
    before = Path(name).read_bytes()
    assert main([*FOLDER, "--csv", name]) == 2
    assert capsys.readouterr().out == "" and Path(name).read_bytes() == before


def test_captions_stand_beside_their_pictures_and_replace_only_their_own(
    folder: Path, capsys: CAPTURE
) -> None:
    mine = Path("photos/p1.txt")
    mine.write_text("my own caption\n")
    command = [*FOLDER, "--txt", "--output", "all.jsonl"]
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == "" and "photos/p1.txt exists and holds no prompt of this run" in err
    assert mine.read_text() == "my own caption\n" and not Path("photos/p0.txt").exists()
    assert main([*command, "--overwrite"]) == 0
    prompts = lines(capsys.readouterr().out)
    assert [Path(f"photos/p{n}.txt").read_text().strip() for n in range(3)] == prompts
    Path("photos/p2.txt").unlink()
    assert main(command) == 0  # a resumed run completes them
    assert Path("photos/p2.txt").read_text().strip() == prompts[2]


@pytest.mark.parametrize("case", ["shared", "together", "stdin", "locked"])
def test_captions_without_a_place_of_their_own_are_refused(
    case: str, folder: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, Path("photos/p0.png").read_bytes())
    read_image("photos/p0.png").save("photos/p0.jpg")
    more = {"together": ["--together"], "stdin": ["-"]}.get(case, [])
    source = ["photos/p0.jpg", "photos/p1.png"] if case != "shared" else ["photos"]
    if case != "locked":
        assert main(["invert", *source, *more, *QUICK, "--txt"]) == 2
    else:
        with Lock(Path("photos"), folder=True):
            assert main(["invert", *source, *QUICK, "--txt"]) == 2
    assert capsys.readouterr().out == "" and not list(Path("photos").glob("*.txt"))


# ---- pictures from pipes


def test_a_picture_comes_from_stdin(
    folder: Path, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path("photos/p0.png").read_bytes()
    assert main(["invert", "photos/p0.png", *QUICK]) == 0
    expected = capsys.readouterr().out
    pipe(monkeypatch, data)
    assert main(["invert", "-", "photos/p1.png", *QUICK, "--json"]) == 0
    found = [json.loads(line) for line in lines(capsys.readouterr().out)]
    assert found[0]["prompt"] == expected.strip() and found[0]["targets"] == ["-"]
    pipe(monkeypatch, data)
    assert main(["score", "-", "a cat", "--model", "mini"]) == 0
    pipe(monkeypatch, b"a cat\n")
    assert main(["score", "photos/p0.png", "-", "--model", "mini"]) == 0
    one, other = lines(capsys.readouterr().out)
    assert one == other


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs names of open files")
def test_a_pipe_that_the_shell_hands_over_is_a_picture(folder: Path) -> None:
    ours, theirs = os.pipe()
    data = Path("photos/p0.png").read_bytes()[:60_000]
    os.write(theirs, data)
    os.close(theirs)
    try:
        piped = read_image(f"/dev/fd/{ours}")
        assert piped.tobytes() == read_image("photos/p0.png").tobytes()
    finally:
        os.close(ours)
    os.mkfifo("forever.png")
    with pytest.raises(PezError, match="is empty"):  # nobody writes to it
        read_image("forever.png")


@pytest.mark.parametrize("data", [b"", b"a text"])
def test_no_picture_on_stdin_is_bad_input(
    data: bytes, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, data)
    assert main(["invert", "-", *QUICK]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("pez: standard input is") and len(lines(err)) == 1


# ---- alternatives


def test_alternatives_are_distinct_best_first_and_scored_as_typed(
    folder: Path, mini: Reader, capsys: CAPTURE
) -> None:
    assert main(["invert", "photos/p0.png", *QUICK, "--restarts", "3"]) == 0
    best = capsys.readouterr().out.strip()
    top = ["--top", "3", "--csv", "t.csv"]
    assert main(["invert", "photos/p0.png", *QUICK, *top, "--json"]) == 0
    result = Result.from_json(capsys.readouterr().out.strip())
    found = result.alternatives
    texts, scores = [one["prompt"] for one in found], [one["score"] for one in found]
    assert texts[0] == result.prompt == best and scores[0] == result.score
    assert 1 < len(texts) <= 3 and len(set(texts)) == len(texts)
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(pez.score("photos/p0.png", texts, reader=mini), abs=1e-5)
    assert [row["prompt"] for row in table("t.csv")] == texts
    assert Result.from_json(result.to_json()) == result


def test_each_picture_has_as_many_lines_as_it_may_have_alternatives(
    folder: Path, few_words: Path, capsys: CAPTURE
) -> None:
    narrow = ["--vocabulary", str(few_words), "--style", "words", "--top", "8"]
    quick = [*QUICK[:-1], "1"]
    assert main(["invert", "photos", *quick, *narrow]) == 0
    out, err = capsys.readouterr()
    printed = lines(out)
    assert len(printed) == 24 and "" in printed
    assert all(printed[start] for start in (0, 8, 16))
    assert "8 restarts found fewer than 8 different prompts" in err


def test_without_alternatives_nothing_changes(mini: Reader, folder: Path) -> None:
    plain = InvertOptions(model=("mini",))
    assert "top" not in plain.record() and InvertOptions(top=4).restarts == 4
    found = pez.invert("photos/p0.png", reader=mini, length=4, steps=5)
    assert isinstance(found, Result)
    assert found.alternatives == [] and "alternatives" not in json.loads(found.to_json())
    for wrong in ([{"prompt": 1, "score": 0.5}], [{"prompt": "a"}], ["a"]):
        line = json.dumps(json.loads(found.to_json()) | {"alternatives": wrong})
        with pytest.raises(ValueError, match="alternatives"):
            Result.from_json(line)


# ---- embeddings


def test_embeddings_are_named_after_their_pictures(folder: Path, capsys: CAPTURE) -> None:
    Path("more").mkdir()
    read_image("photos/p1.png").save("more/p0.png")
    command = ["invert", "photos/p0.png", "more/p0.png", *QUICK, "--method", "soft"]
    command += ["--output-embeddings", "soft", "--output", "all.jsonl"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert sorted(os.listdir("soft")) == ["p0-2.safetensors", "p0.safetensors"]
    assert "more/p0.png: its embeddings go to soft/p0-2.safetensors" in err
    kept = []
    for name in ("p0", "p0-2"):
        with safe_open(f"soft/{name}.safetensors", "pt") as file:
            kept.append(file.metadata()["prompt"])
            assert "photos" not in str(file.metadata())
    assert kept == lines(out)
    assert main(command) == 0 and "2 of 2 were done before" in capsys.readouterr().err
    Path("soft/p0.safetensors").unlink()
    assert main(command) == 0 and "1 of 2 were done before" in capsys.readouterr().err
    assert sorted(os.listdir("soft")) == ["p0-2.safetensors", "p0.safetensors"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a/cat.v2.png", "cat.v2"),
        ("https://x.org/a%2Fb/dog.jpg?size=3", "dog"),
        ("-", "stdin"),
        ("https://x.org/", "picture"),
        ("x" * 250 + ".png", "x" * 200),
    ],
)
def test_a_file_is_named_after_any_picture(name: str, stem: str) -> None:
    assert stem_of(name) == stem
