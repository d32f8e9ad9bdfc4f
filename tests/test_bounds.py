"""Nothing fills the memory or is waited for without end: files, counts, servers."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import socket
import tarfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dataset_files import tar
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import close_session, get_session
from PIL import Image

import pez
from pez.cli import main
from pez.datasets import open_dataset
from pez.datasets.webdataset import read_member
from pez.errors import PezError, PezWarning
from pez.evaluation.plan_file import parse_plan
from pez.files import download, open_plain, read_plain
from pez.generation.options import GenerateOptions
from pez.images import MAX_SIDES, pixels_key, read_image
from pez.methods import open_method
from pez.models import Reader
from pez.models.reach import lose_patience
from pez.options import InvertOptions
from pez.session.items import picture_items
from pez.workers.choose import read_workers

PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
HEADERS = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PezError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# ---- files


@PIPES
def test_a_plain_file_is_opened_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"four")
    assert read_plain(tmp_path / "a", 4) == b"four"
    assert "over 0 MB" in refusal(lambda: open_plain(tmp_path / "a", 3))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "link", "zero"):
        assert "pipe or a device" in refusal(lambda name=name: open_plain(tmp_path / name, 4))
    for name in ("missing", "."):
        with pytest.raises(OSError):
            open_plain(tmp_path / name, 4)


FILES: dict[str, Callable[[str], Any]] = {
    "ban": lambda place: pez.invert("p.png", model="mini", ban=place),
    "vocabulary": lambda place: pez.invert("p.png", model="mini", vocabulary=place),
    "phrases": lambda place: pez.invert(
        "p.png", model="mini", method="interrogator", set={"phrases": place}
    ),
    "plan": lambda place: main(["evaluate", place]),
    "texts": lambda place: main(["distill", place, "--model", "mini"]),
    "prompts": lambda place: main(["generate", place, "--generator", "mini-sd"]),
}


@PIPES
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("what", ["pipe", "endless", "large"])
def test_an_odd_file_is_refused_at_once(
    kind: str,
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("p.png")
    if what == "pipe":
        os.mkfifo("odd")
    elif what == "endless":
        os.symlink("/dev/zero", "odd")
    else:
        Path("odd").touch()
        os.truncate("odd", 1 << 32)  # a file of holes takes no room on the disk
    try:
        assert FILES[kind]("odd") == 2
        said = capsys.readouterr().err
    except PezError as error:
        said = str(error)
    assert ("over" if what == "large" else "pipe or a device") in said and "odd" in said


# ---- pictures


def test_pictures_of_a_folder_are_decoded_one_at_a_time(mini: Reader) -> None:
    made: list[weakref.ref[Image.Image]] = []
    most = 0

    def read(_source: object) -> Image.Image:
        nonlocal most
        picture = Image.new("RGB", (64, 64))
        made.append(weakref.ref(picture))
        most = max(most, sum(one() is not None for one in made))
        return picture

    for together in (False, True):
        names = [f"{n}.png" for n in range(6)]
        groups = [names] if together else [[name] for name in names]
        picture_items(mini, groups, together, read=read)
    assert most <= 2


def test_a_thin_picture_is_refused_alone(mini: Reader, tmp_path: Path) -> None:
    Image.new("RGB", (1, 100_000)).save(tmp_path / "thin.png")
    Image.new("RGB", (MAX_SIDES, 1)).save(tmp_path / "wide.png")
    failed: list[str] = []
    found = picture_items(
        mini,
        [[tmp_path / "thin.png"], [tmp_path / "wide.png"]],
        failed=lambda n, error: failed.append(f"{n} {error}"),
    )
    assert list(found) == [1]
    assert len(failed) == 1 and failed[0].startswith("0 ") and "crop it" in failed[0]
    assert "crop it" in refusal(lambda: read_image(Image.new("RGB", (MAX_SIDES + 1, 1))))


def test_the_key_of_a_picture_is_a_hash_of_its_size_and_pixels() -> None:
    told = hashlib.sha256(b"3x2:" + bytes([1, 2, 3] * 6)).hexdigest()[:16]
    assert pixels_key(Image.new("RGB", (3, 2), (1, 2, 3))) == told


# ---- counts


@pytest.mark.parametrize("name", ["length", "steps", "restarts", "rows", "patience", "batch_size"])
def test_counts_that_fill_memory_are_refused(name: str) -> None:
    count: dict[str, Any] = {name: 10**9}
    assert "at most" in refusal(lambda: InvertOptions(**count))


def test_counts_of_methods_pictures_and_processes_are_refused() -> None:
    assert "at most" in refusal(lambda: open_method(InvertOptions(set=("candidates=1000000000",))))
    for name in ("count", "steps", "width", "height", "rows"):
        count: dict[str, Any] = {name: 10**9}
        assert "at most" in refusal(lambda count=count: GenerateOptions(**count))
    assert "at most" in refusal(lambda: read_workers(10**9))


@pytest.mark.parametrize("style", ["words", "phrases", "caption"])
def test_a_length_beyond_the_model_is_refused_before_it_is_built(style: str, mini: Reader) -> None:
    picture, start = Image.new("RGB", (8, 8)), time.monotonic()
    asked: list[dict[str, Any]] = [{"length": 10**6, "style": style}, {"template": "a {500000000}"}]
    for more in asked:
        said = refusal(lambda more=more: pez.invert(picture, reader=mini, **more))
        assert "this model reads at most" in said
    digits = "{" + "9" * 9999 + "}"
    assert "at most" in refusal(lambda: pez.invert(picture, reader=mini, template=digits))
    assert time.monotonic() - start < 5


PLAN = """models = ["mini"]
judges = ["mini-judge"]
[data]
dataset = "samples"
count = 1
[[methods]]
name = "pez"
lengths = [2]
steps = 1
[[generators]]
name = "mini-sd"
pictures = 1
"""


@pytest.mark.parametrize("entry", ["count = 1", "lengths = [2", "steps = 1", "pictures = 1"])
def test_counts_of_a_plan_are_refused(entry: str) -> None:
    parse_plan(PLAN)
    said = refusal(lambda: parse_plan(PLAN.replace(entry, entry[:-1] + "1000000000")))
    assert "at most" in said and entry.split()[0] in said


# ---- servers


class Drip:
    """A server that sends a start at once, and then a byte now and then, for ever."""

    def __init__(self, start: bytes, drop: bytes) -> None:
        self.start, self.drop, self.over = start, drop, threading.Event()
        self.begun = threading.Event()
        self.door = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        try:
            client, _ = self.door.accept()
            client.recv(4096)
            client.sendall(self.start)
            self.begun.set()
            while not self.over.wait(0.05):
                client.sendall(self.drop)
        except OSError:
            pass


@pytest.fixture
def drip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Drip]]:
    monkeypatch.setenv("no_proxy", "*")
    made: list[Drip] = []

    def make(start: bytes = HEADERS, drop: bytes = b"x") -> Drip:
        made.append(Drip(start, drop))
        return made[-1]

    yield make
    for one in made:
        one.over.set()
        one.door.close()


@pytest.mark.parametrize("start", [HEADERS, b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 2"])
def test_a_slow_server_is_given_up(
    start: bytes, drip: Callable[..., Drip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.6)  # a drop comes twelve times as often
    begun = time.monotonic()
    assert "timed out" in refusal(lambda: read_image(f"{drip(start).address}/a.png"))
    assert time.monotonic() - begun < 5


def test_a_hub_that_drips_is_given_up(
    drip: Callable[..., Drip], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    close_session()  # one that has not looked at the proxies yet
    lose_patience()
    begun = time.monotonic()
    try:
        with (
            pytest.raises(OfflineModeIsEnabled),
            get_session().stream("GET", f"{drip().address}/a.bin") as answer,
        ):
            for _ in answer.iter_bytes():
                pass
    finally:
        close_session()
    assert time.monotonic() - begun < 5


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_the_first_interrupt_breaks_off_a_download(
    drip: Callable[..., Drip], capsys: pytest.CaptureFixture[str]
) -> None:
    server = drip()

    def interrupt() -> None:
        server.begun.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    start = time.monotonic()
    assert main(["invert", f"{server.address}/a.png", "--model", "mini", "--device", "cpu"]) == 130
    assert time.monotonic() - start < download.TIMEOUT - 5
    out, err = capsys.readouterr()
    assert out == "" and "stopped" in err and "Traceback" not in err


# ---- what is told of pictures


@PIPES
def test_odd_captions_leave_the_picture(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").symlink_to("/dev/zero")
    (tmp_path / "c.txt").touch()
    os.truncate(tmp_path / "c.txt", 1 << 32)
    with pytest.warns(PezWarning) as told:
        items = list(open_dataset("folder", path=str(tmp_path)))
    assert [item.id for item in items] == ["a.png", "b.png", "c.png"]
    (said,) = (str(one.message) for one in told if issubclass(one.category, PezWarning))
    assert "3 damaged" in said
    os.mkfifo(tmp_path / "metadata.csv")
    assert "pipe" in refusal(lambda: list(open_dataset("folder", path=str(tmp_path))))


def test_a_tar_that_claims_too_much_is_not_believed(tmp_path: Path) -> None:
    def claim(name: str, kind: bytes, size: int) -> bytes:
        member = tarfile.TarInfo(name)
        member.type, member.size = kind, size
        return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)

    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        (tmp_path / "a.tar").write_bytes(claim("x", kind, 64 << 30))
        said = refusal(lambda: list(open_dataset("webdataset", path=str(tmp_path / "a.tar"))))
        assert "damaged" in said
    (tmp_path / "a.tar").write_bytes(claim("a.png", tarfile.REGTYPE, 64 << 30))
    claimed = refusal(lambda: read_member(str(tmp_path / "a.tar"), "a.png", 512, 64 << 30))
    assert "too much for a picture" in claimed
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    tar(tmp_path / "b.tar", {"a.png": buffer.getvalue(), "a.txt": "x" * (2 << 20)})
    with pytest.warns(PezWarning, match=r"a\.txt is over"):
        (item,) = open_dataset("webdataset", path=str(tmp_path / "b.tar"))
    assert item.captions == () and item.picture() == buffer.getvalue()
