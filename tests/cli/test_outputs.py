"""What a verb writes: one run at a time, nothing of the user's replaced, kept before printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CAPTURE, QUICK, lines
from PIL import Image

from pez.cli import main
from pez.errors import PezError
from pez.files import cache_folder, output_path
from pez.files.lock import InUse, Lock
from pez.generation.files import save_picture

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("mini_at_hand")
SOFT = ["--method", "soft"]
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")


def shell(command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A run of ``pez``, called ``$PEZ``, by the shell."""
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PEZ": f"{sys.executable} -m pez"}
    environment = os.environ | own | {"PEZ_CACHE": str(cwd / "cache")} | more
    done = ["bash", "-c", command]
    return subprocess.run(done, cwd=cwd, env=environment, capture_output=True, text=True)


# ---- one run at a time


@pytest.mark.parametrize("folder", [False, True])
def test_a_lock_excludes_others_until_it_is_released(folder: bool, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with Lock(path, folder=folder):
        (tmp_path / "link").symlink_to(path)
        for same in (path, tmp_path / "link", tmp_path / "." / "out"):
            with pytest.raises(InUse, match=rf"in use by another run .*process {os.getpid()}"):
                Lock(same, folder=folder)
    with Lock(path, folder=folder):
        pass
    assert not list(tmp_path.rglob("*lock"))


def test_a_killed_owners_lock_is_taken_over(tmp_path: Path) -> None:
    script = """if True:
        import os, signal, sys
        from pathlib import Path
        from pez.files.lock import Lock
        lock = Lock(Path(sys.argv[1]))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", script, str(tmp_path / "out")]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL and os.listdir(tmp_path)
    Lock(tmp_path / "out").release()
    assert not os.listdir(tmp_path)


def test_without_locks_of_the_disk_the_owner_counts_while_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pez.files.lock._lock", lambda _fd: None)
    lock = Lock(tmp_path / "out")
    with pytest.raises(InUse):
        Lock(tmp_path / "out")
    monkeypatch.setattr("pez.files.lock._started", lambda _process: "another time")
    Lock(tmp_path / "out").release()
    lock.release()


def test_a_users_file_under_the_locks_name_stays(tmp_path: Path) -> None:
    mine = tmp_path / ".out.pez-lock"
    mine.write_text("mine")
    with pytest.raises(PezError, match="is no lock"):
        Lock(tmp_path / "out")
    assert mine.read_text() == "mine"


def test_a_second_run_is_refused_before_it_searches(folder: Path, capsys: CAPTURE) -> None:
    picture = ["invert", "photos/p0.png", *QUICK]
    for option, more in (("--output", []), ("--output-embeddings", SOFT)):
        with Lock(Path("out")):
            assert main([*picture, *more, option, "out"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and f"process {os.getpid()}" in err and len(lines(err)) == 1
    assert not Path("out").exists()


# ---- nothing of the user's


@pytest.mark.parametrize(
    "content",
    ['{\n "a": 1\n}\n', '{"a": 1}', '{"text": "a"}\n{"text": "b"}\n', '{"prompt": "a"}\n', "a,b\n"],
)
def test_output_takes_no_file_that_is_not_of_results(
    content: str, folder: Path, capsys: CAPTURE
) -> None:
    Path("mine").write_text(content)
    assert main(["invert", "photos/p0.png", *QUICK, "--output", "mine"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "mine exists and is not a file of pez's results" in err
    assert Path("mine").read_text() == content


def test_embeddings_replace_only_embeddings(folder: Path, capsys: CAPTURE) -> None:
    before = Path("photos/p0.png").read_bytes()
    command = ["invert", "photos/p0.png", *QUICK, *SOFT, "--output-embeddings"]
    assert main([*command, "photos/p0.png"]) == 2
    assert "is not a file of embeddings" in capsys.readouterr().err
    assert Path("photos/p0.png").read_bytes() == before
    assert main([*command, "soft"]) == main([*command, "soft"]) == 0


@pytest.mark.parametrize("name", ["index.html", "pictures.png"])
def test_a_demo_takes_nobodys_page(name: str, tmp_path: Path, capsys: CAPTURE) -> None:
    (tmp_path / name).write_text("mine")
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert name in capsys.readouterr().err
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("option", [["--output"], [*SOFT, "--output-embeddings"]])
def test_nobodys_home_is_refused(option: list[str], folder: Path, capsys: CAPTURE) -> None:
    assert main(["invert", "photos/p0.png", *QUICK, *option, "~no such user/out"]) == 2
    assert "no home folder is known" in capsys.readouterr().err
    assert not list(folder.glob("~*"))


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEZ_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr("os.path.expanduser", lambda path: os.fspath(path))
    assert cache_folder() is None
    with pytest.raises(PezError):
        output_path("~/out")


# ---- kept, then printed


@pytest.mark.parametrize("verb", ["--help", "--version", "tokens cat", "models", "datasets"])
@pytest.mark.parametrize("place", [pytest.param("> /dev/full", marks=FULL), ">&-"])
def test_what_cannot_be_printed_is_an_error_in_one_sentence(
    verb: str, place: str, tmp_path: Path
) -> None:
    done = shell(f"$PEZ {verb} {place}", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("pez: cannot write to standard output (")
    assert len(lines(done.stderr)) == 1


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    done = shell("$PEZ models | head -1; exit ${PIPESTATUS[0]}", tmp_path)
    assert (done.returncode, done.stderr, len(lines(done.stdout))) == (0, "", 1)


@FULL
def test_a_full_stdout_loses_no_prompt(folder: Path) -> None:
    command = f"$PEZ invert photos {' '.join(QUICK)} --quiet"
    done = shell(f"{command} --output out.jsonl > /dev/full", folder)
    assert done.returncode == 2 and "what was found is in out.jsonl" in done.stderr
    assert len(lines((folder / "out.jsonl").read_text())) == len(os.listdir("photos"))
    one = shell(f"{command.replace('photos', 'photos/p0.png')} > /dev/full", folder)
    assert one.returncode == 2
    first = json.loads((folder / "out.jsonl").read_text().split("\n")[0])
    assert f"the prompt is: {first['prompt']}" in one.stderr


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs names of pipes")
def test_results_go_into_pipes_too(folder: Path) -> None:
    command = f"$PEZ invert photos {' '.join(QUICK)} --quiet --output"
    done = shell(f"{command} /dev/stdout | cat", folder)
    rows = [line for line in lines(done.stdout) if line.startswith("{")]
    assert done.stderr == "" and len(rows) == len(os.listdir("photos"))


def test_closed_streams_mix_nothing_into_the_output(folder: Path) -> None:
    command = f"$PEZ invert photos {' '.join(QUICK)} --output out.jsonl <&- 2>&-"
    done = shell(command, folder)
    assert done.returncode == 0
    rows = (folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(row)["prompt"] for row in rows] == lines(done.stdout)


# ---- half-written


def test_torn_lines_go_and_others_stay(folder: Path, capsys: CAPTURE) -> None:
    command = ["invert", "photos/p0.png", *QUICK, "--output", "out.jsonl"]
    assert main(command) == 0
    whole = Path("out.jsonl").read_text()
    torn = whole[: len(whole) // 2]
    for damaged in (whole + torn, torn + whole, torn + "\n" + whole, whole + "\0\0", whole[:-1]):
        Path("out.jsonl").write_text('other make {\n{"mine": 1}\n' + damaged)
        capsys.readouterr()
        assert main(command) == 0
        assert Path("out.jsonl").read_text() == 'other make {\n{"mine": 1}\n' + whole
        assert ("cut short" in capsys.readouterr().err) == (damaged != whole[:-1])
    Path("out.jsonl").write_text(torn)  # killed in its first line
    assert main(command) == 0
    assert [json.loads(line)["method"] for line in lines(Path("out.jsonl").read_text())] == [
        "pursuit"
    ]


def test_an_edited_picture_is_not_drawn_over_but_a_damaged_one_is(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8), "red")
    path = tmp_path / "a-cat-0.png"
    save_picture(picture, path, "a cat", 0, {})
    save_picture(picture, path, "a cat", 0, {})
    path.write_bytes(path.read_bytes()[:60])
    save_picture(picture, path, "a cat", 0, {})
    picture.save(path)  # as an editor does, without the record of how it was drawn
    edited = path.read_bytes()
    with pytest.raises(PezError, match="is not a picture that pez drew"):
        save_picture(picture, path, "a cat", 0, {})
    assert path.read_bytes() == edited
