"""The command line as a user meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CAPTURE, QUICK, lines

from pez.cli import main
from pez.models import Reader

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("mini_at_hand")


def test_the_package_runs_as_the_command_does(capsys: CAPTURE) -> None:
    """``python -m pez`` and ``pez`` are one."""
    import runpy

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("sys.argv", ["pez", "tokens", "a red boot", "--nonsense"])
        runpy.run_module("pez", run_name="__main__")
    assert end.value.code == 2 and "--nonsense" in capsys.readouterr().err


def test_help_of_every_verb_comes_without_torch() -> None:
    script = """if True:
        import sys
        from pez.cli import main
        verbs = "- invert distill mix score explain tokens neighbours models methods generate"
        verbs += " attention demo"
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
        commands = types.ModuleType("pez.cli.commands")
        from pez.cli.streams import answer
        commands.models = lambda args: [answer("x" * 100) for _ in range(10_000)] and 0
        sys.modules["pez.cli.commands"] = commands
        import pez
        pez.cli.commands = commands
        sys.exit(cli.main(["models"]))
    """
    command = f"\"{sys.executable}\" -c '{script}' | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
