"""Work that is stopped, killed or repeated: nothing is lost and nothing is computed twice."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pez.cli.resume
import pez.session.session
from pez.cli import main
from pez.cli.show import Bar
from pez.models import Reader

ROOT = Path(__file__).parents[2]
QUICK = ["--model", "mini", "--device", "cpu", "--steps", "20", "--length", "4"]
CAPTURE = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def loaded(mini: Reader, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``mini`` is loaded once; the cache is each test's own."""

    def load(names: str | Sequence[str], device: str = "auto", dtype: str = "float32") -> Reader:
        assert list(names) == ["mini"]
        own = copy.copy(mini)
        own.free_vision = lambda: None
        return own

    monkeypatch.setattr(pez.objectives.match, "load_model", load)
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three pictures, in the working folder."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, picture in enumerate(pictures[:3]):
        picture.save(folder / f"p{n}.png")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of searches each time that some are begun."""
    counts: list[int] = []
    real = pez.session.session.search

    def search(problem: Any, method: Any, jobs: Sequence[Any], *rest: Any, **more: Any) -> Any:
        counts.append(len(jobs))
        return real(problem, method, jobs, *rest, **more)

    monkeypatch.setattr(pez.session.session, "search", search)
    return counts


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``interrupt(step, times)`` presses Ctrl-C at that step."""

    def arm(step: int, times: int = 1) -> None:
        left = [signal.SIGINT] * times

        class Pressing(Bar):
            def __call__(self, progress: Any, prompt: str) -> None:
                while left and progress.steps >= step:
                    signal.raise_signal(left.pop())

        monkeypatch.setattr(pez.cli.resume, "Bar", Pressing)

    return arm


def prompts(path: Path | str) -> dict[str, tuple[str, list[int]]]:
    """Prompt and ids of each target in a file of results; a target must not be there twice."""
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    found = {row["targets"][0]: (row["prompt"], row["ids"]) for row in rows}
    assert len(found) == len(rows)
    return found


def journals() -> list[Path]:
    return list(Path(os.environ["PEZ_CACHE"]).glob("journals/*.jsonl"))


def struck(command: Sequence[str], blow: signal.Signals) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own that gets a signal right after its first result."""
    script = f"""if True:
        import os, sys
        from pez.cli import main
        from pez.cli.journal import Journal
        add = Journal.add
        def strike(journal, result):
            add(journal, result)
            os.kill(os.getpid(), {int(blow)})
        Journal.add = strike
        sys.exit(main(sys.argv[1:]))
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", script, *command]
    return subprocess.run(program, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("output", ["out.jsonl", ""], ids=["output", "cache"])
def test_a_killed_folder_goes_on_where_it_stopped(
    output: str, photos: Path, searched: list[int], capsys: CAPTURE
) -> None:
    command = ["invert", "photos", *QUICK, "--rows", "1"]
    assert main([*command, "--output", "whole.jsonl"]) == 0
    undisturbed = capsys.readouterr().out
    command += ["--output", output] if output else []
    killed = struck(command, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == ""  # what is stored is printed after it, now by the next run
    (place,) = [Path(output)] if output else journals()
    with place.open("a") as file:
        file.write('{"prompt": "cut by the k')

    searched.clear()
    assert main(command) == 0
    assert capsys.readouterr().out == undisturbed
    assert searched == [2]
    if output:
        lines = [line for line in place.read_text().splitlines() if line.endswith("}")]
        place.write_text("\n".join(lines))
        assert prompts(output) == prompts("whole.jsonl")
        assert main(command) == 0
        assert searched == [2]
    assert journals() == []


def test_ctrl_c_ends_the_process_with_code_130(photos: Path) -> None:
    stopped = struck(["invert", "photos", *QUICK, "--rows", "1"], signal.SIGINT)
    assert stopped.returncode == 130
    assert len(stopped.stdout.splitlines()) == 1
    assert "Traceback" not in stopped.stderr
    assert "2 inputs are left; run the same command to continue" in stopped.stderr


def test_ctrl_c_keeps_the_best_prompt_so_far(
    photos: Path, capsys: CAPTURE, interrupt: Callable[..., None]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    command = ["invert", "photos/p0.png", *QUICK, "--json", "--init", "random"]
    assert main([*command, "--steps", "8"]) == 0
    whole = json.loads(capsys.readouterr().out)
    interrupt(8)
    assert main([*command, "--steps", "1000"]) == 130
    out, err = capsys.readouterr()
    cut = json.loads(out)
    assert cut["interrupted"]
    assert cut["steps"] == 8
    assert (cut["prompt"], cut["ids"]) == (whole["prompt"], whole["ids"])
    assert "stopped early" in err
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_leaves_at_once(
    photos: Path, capsys: CAPTURE, interrupt: Callable[..., None]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    interrupt(3, times=2)
    assert main(["invert", "photos", *QUICK]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "pez: stopped.\n"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("verb", ["distill", "mix"])
def test_ctrl_c_before_the_first_step_is_no_bad_input(
    verb: str, capsys: CAPTURE, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pez.objectives.match.load_model

    def load(*args: Any, **more: Any) -> Reader:
        signal.raise_signal(signal.SIGINT)
        return real(*args, **more)

    monkeypatch.setattr(pez.objectives.match, "load_model", load)
    command = ["distill", "a cat"] if verb == "distill" else ["mix", "--text", "a cat"]
    assert main([*command, *QUICK]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing was found yet" in err


def test_after_ctrl_c_the_rest_is_searched_and_best_so_fars_are_replaced(
    photos: Path, capsys: CAPTURE, interrupt: Callable[..., None], searched: list[int]
) -> None:
    command = ["invert", "photos", *QUICK, "--rows", "2"]
    assert main([*command, "--output", "whole.jsonl"]) == 0
    undisturbed = capsys.readouterr().out
    interrupt(5)
    assert main([*command, "--output", "out.jsonl"]) == 130
    assert len(capsys.readouterr().out.splitlines()) == 2
    kept = Path("out.jsonl").read_text().splitlines()
    assert [json.loads(line)["interrupted"] for line in kept] == [True, True]
    searched.clear()
    assert main([*command, "--output", "out.jsonl"]) == 0
    assert searched == [3]
    assert capsys.readouterr().out == undisturbed
    assert prompts("out.jsonl") == prompts("whole.jsonl")


def test_a_finished_output_is_not_searched_again(
    photos: Path, capsys: CAPTURE, searched: list[int]
) -> None:
    commands = [
        ["invert", "photos", *QUICK],
        ["invert", "photos", *QUICK, "--together"],
        ["distill", "a cat\u2028and a dog", *QUICK],
        ["mix", "--image", "photos/p0.png=0.70", "--text", "oil=1", "--negative", "dog", *QUICK],
    ]
    for n, command in enumerate(commands):
        for _ in range(2):
            assert main([*command, "--json", "--output", "out.jsonl"]) == 0
        out, err = capsys.readouterr()
        first, second = out.splitlines()[: len(out.splitlines()) // 2], out.splitlines()
        assert second == first * 2
        assert "done before" in err
        assert len(searched) == n + 1


def test_what_has_changed_is_searched_again(
    photos: Path, pictures: list[Image.Image], searched: list[int]
) -> None:
    Path("ban.txt").write_text("dog")
    command = ["invert", "photos", *QUICK, "--output", "out.jsonl", "--ban", "ban.txt"]
    assert main(command) == 0
    os.utime(photos / "p0.png")  # touched, but the same
    assert main(command) == 0
    assert searched == [3]
    pictures[3].save(photos / "p0.png")
    os.utime(photos / "p0.png", (1, 1))  # changed, but looks old
    assert main(command) == 0
    assert searched == [3, 1]
    assert len(prompts("out.jsonl")) == 3
    pictures[4].save(photos / "p9.png")
    assert main(command) == 0
    assert searched == [3, 1, 1]
    assert main([*command, "--seed", "1"]) == 0
    assert searched == [3, 1, 1, 4]
    Path("ban.txt").write_text("cat")
    assert main(command) == 0
    assert searched == [3, 1, 1, 4, 4]


def test_a_mended_picture_is_the_only_one_searched(
    photos: Path, pictures: list[Image.Image], searched: list[int]
) -> None:
    (photos / "p1.png").write_bytes(b"no picture")
    assert main(["invert", "photos", *QUICK]) == 2
    pictures[1].save(photos / "p1.png")
    assert main(["invert", "photos", *QUICK]) == 0
    assert searched == [2, 1]
    assert journals() == []


def test_history_is_there_whenever_it_is_asked_for(photos: Path, capsys: CAPTURE) -> None:
    command = ["invert", "photos/p0.png", *QUICK, "--json", "--output", "out.jsonl"]
    for more, expected in (([], False), (["--history"], True), (["--history"], True), ([], False)):
        assert main([*command, *more]) == 0
        assert ("history" in json.loads(capsys.readouterr().out)) == expected


def test_the_cache_may_be_read_only(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: CAPTURE
) -> None:
    Path("file").touch()
    monkeypatch.setenv("PEZ_CACHE", "file/cache")
    assert main(["invert", "photos", *QUICK]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_costs_no_prompt(photos: Path, capsys: CAPTURE) -> None:
    assert main(["invert", "photos/p0.png", *QUICK, "--output", "/dev/full"]) == 2
    out, err = capsys.readouterr()
    assert len(out.split()) == 4
    assert len(err.splitlines()) == 1
    assert "/dev/full" in err


def test_lines_of_other_programs_stay_in_the_output(photos: Path) -> None:
    assert main(["distill", "a cat", *QUICK, "--output", "out.jsonl"]) == 0
    other = '{"mine": "caf\u00e9 \u2028"}\n{"prompt": 1}\nno JSON {\n{\n'
    with open("out.jsonl", "a", encoding="utf-8") as file:
        file.write(other)
    before = Path("out.jsonl").read_text(encoding="utf-8")
    for _ in range(2):
        assert main(["invert", "photos", *QUICK, "--output", "out.jsonl"]) == 0
    text = Path("out.jsonl").read_text(encoding="utf-8")
    assert text.startswith(before)
    assert text.count("\n") == 1 + 4 + 3
