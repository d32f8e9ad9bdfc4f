"""Files are written whole or not at all, as the user's own, and errors say what to do."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pez.errors import PezError
from pez.files import keep_file, kept_ids, write_whole

ROOT = Path(__file__).resolve().parents[1]


def test_bytes_and_functions_write_the_same_and_make_folders(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "b" / "one", tmp_path / "two"
    status = write_whole(one, b"whole")
    write_whole(two, lambda part: part.write_bytes(b"whole"), durable=False)
    assert one.read_bytes() == two.read_bytes() == b"whole"
    assert (status.st_ino, status.st_size) == (one.stat().st_ino, 5)
    assert status.st_mtime_ns == one.stat().st_mtime_ns


def test_a_failed_write_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, b"former")

    def half(part: Path) -> None:
        part.write_bytes(b"ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(file, half)
    assert os.listdir(tmp_path) == ["file"] and file.read_bytes() == b"former"


def test_a_kill_leaves_the_former_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, b"former")
    script = """if True:
        import os, signal, sys
        from pathlib import Path
        from pez.files import write_whole
        def half(part):
            part.write_bytes(b"ha")
            os.kill(os.getpid(), signal.SIGKILL)
        write_whole(Path(sys.argv[1]), half)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script, str(file)], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"former"
    write_whole(file, b"next")  # what the kill left behind is in nobody's way
    assert file.read_bytes() == b"next"


def test_readers_meet_whole_files_while_several_write(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, b"0" * 100_000)

    def write(digit: bytes) -> None:
        for _ in range(40):
            write_whole(file, digit * 100_000, durable=False)

    writers = [threading.Thread(target=write, args=(digit,)) for digit in (b"1", b"2")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        read = file.read_bytes()
        assert len(read) == 100_000 and len(set(read)) == 1
    assert os.listdir(tmp_path) == ["file"]


def test_permissions_are_those_of_the_former_file_or_the_users(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(b"")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        write_whole(new, b"")
        write_whole(old, b"more")
        assert stat.S_IMODE(new.stat().st_mode) == 0o640  # not the 0600 of temporary files
        old.chmod(0o604)
        write_whole(old, b"again")
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.stat().st_mode) == 0o604 and old.read_bytes() == b"again"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "there" / "real", tmp_path / "link"
    write_whole(real, b"former")
    link.symlink_to(real)
    write_whole(link, b"new")
    assert link.is_symlink() and real.read_bytes() == b"new"


def test_the_longest_name_and_any_file_beside_are_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 255)
    beside = [tmp_path / name for name in ("x.part", ".x.part")]
    for other in beside:
        other.write_bytes(b"the user's")
    write_whole(file, b"1")
    write_whole(tmp_path / "x", b"1")
    assert file.read_bytes() == b"1"
    assert all(other.read_bytes() == b"the user's" for other in beside)


@pytest.mark.parametrize("kind", ["folder", "file as a folder", "pipe", "protected"])
def test_what_may_not_be_written_stays_and_is_named(kind: str, tmp_path: Path) -> None:
    file, asked = tmp_path / "it", tmp_path / "it"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_bytes(b"the user's")
        asked = file / "in it" if kind == "file as a folder" else file
    if kind == "protected":
        file.chmod(0o444)
        if os.access(file, os.W_OK):
            pytest.skip("this user may write everything")
    before = file.lstat()
    with pytest.raises(PezError) as caught:
        write_whole(asked, b"new", remedy="choose another --output")
    assert str(caught.value).startswith(f"cannot write {asked} (")
    assert str(caught.value).endswith("); choose another --output.")
    after = file.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert os.listdir(tmp_path) == ["it"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_has_a_remedy_of_its_own(tmp_path: Path) -> None:
    def full(_part: Path) -> None:
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"more")

    with pytest.raises(PezError, match=r"No space left on device\); free some space on the disk\."):
        write_whole(tmp_path / "file", full, remedy="choose another --output")
    assert not os.listdir(tmp_path)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_bytes(b"")
    keep_file(blocked / "file", b"1")
    monkeypatch.setenv("PEZ_CACHE", str(blocked))
    assert kept_ids("some", lambda: [3, 1]) == kept_ids("some", lambda: [3, 1]) == [3, 1]
    monkeypatch.setenv("PEZ_CACHE", str(tmp_path / "made"))
    assert kept_ids("some", lambda: [3, 1]) == [3, 1]
    assert kept_ids("some", lambda: pytest.fail("they are kept")) == [3, 1]
    assert os.listdir(tmp_path / "made") == ["some.txt"]
