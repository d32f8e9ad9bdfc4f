"""Pictures at addresses, from a real local web server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.error import HTTPError

import pytest
from picture_files import SAMPLES, encoded, noise, put, refusal

from pez.errors import PezError
from pez.files import download
from pez.images import read_image


class Handler(BaseHTTPRequestHandler):
    agents: ClassVar[list[str]] = []
    release = threading.Event()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.agents.append(self.headers.get("User-Agent", ""))
        picture = SAMPLES["PNG"]
        match self.path:
            case "/a.png" | "/a%20caf%C3%A9.png":
                self.answer(200, picture, Content_Length=str(len(picture)))
            case "/page.html":
                self.answer(200, b"<html><body>a page</body></html>", Content_Type="text/html")
            case "/large.png":
                self.answer(200, picture, Content_Length="64000001")
                self.release.wait(20)
            case "/a.eps":
                self.answer(200, encoded(noise(), "EPS"))
            case "/unsized.png":
                self.answer(200, picture)
            case "/short.png":
                self.answer(200, picture[: len(picture) // 2], Content_Length=str(len(picture)))
            case "/odd-length.png":
                self.answer(200, picture, Content_Length="many")
            case "/empty.png":
                self.answer(200, Content_Length="0")
            case "/moved.png":
                self.answer(302, Location="/a.png")
            case "/loop.png":
                self.answer(302, Location="/loop.png")
            case "/slow.png":
                self.release.wait(20)
            case path if path.startswith("/to/"):
                self.answer(302, Location=path.removeprefix("/to/"))
            case "/broken":
                self.answer(500)
            case _:
                self.answer(404)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, args=(0.02,))
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        yield f"http://127.0.0.1:{web.server_port}"
    Handler.release.set()
    web.shutdown()
    web.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["a.png", "moved.png", "a café.png", "unsized.png"])
def test_a_picture_at_an_address_is_read(server: str, path: str) -> None:
    assert read_image(f"{server}/{path}").tobytes() == noise().tobytes()


def test_the_scheme_may_be_in_capitals(server: str) -> None:
    assert read_image(f"{server}/a.png".replace("http", "HTTP")).size == (24, 16)


def test_the_reader_says_who_it_is(server: str) -> None:
    Handler.agents.clear()
    read_image(f"{server}/a.png")
    assert Handler.agents[0].startswith("pez/")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("none.png", "HTTP status 404: Not Found"),
        ("broken", "HTTP status 500"),
        ("page.html", "is not a picture"),
        ("empty.png", "is not a picture"),
        ("a.eps", "is not a picture"),
        ("short.png", "damaged"),
        ("odd-length.png", "could not be fetched"),
        ("loop.png", "HTTP status 302"),
    ],
)
def test_a_bad_answer_is_told(server: str, path: str, told: str) -> None:
    assert told in refusal(f"{server}/{path}")


def test_a_declared_size_is_refused_before_reading(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 8.0)  # reading would wait for the rest
    assert "64 MB" in refusal(f"{server}/large.png")


def test_a_refused_answer_is_closed(server: str) -> None:
    with pytest.raises(PezError) as caught:
        read_image(f"{server}/none.png")
    cause = caught.value.__cause__
    assert isinstance(cause, HTTPError) and cause.closed


def test_a_page_is_told_to_be_no_picture_file(server: str) -> None:
    assert "not of a page" in refusal(f"{server}/page.html")


def test_an_answer_without_a_size_is_not_read_for_ever(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_DOWNLOAD", len(SAMPLES["PNG"]))
    assert read_image(f"{server}/unsized.png").size == (24, 16)
    monkeypatch.setattr(download, "MAX_DOWNLOAD", len(SAMPLES["PNG"]) - 1)
    assert "MB" in refusal(f"{server}/unsized.png")


def test_a_redirect_to_a_local_file_is_refused(server: str, tmp_path: Path) -> None:
    file = put(tmp_path / "a.png", SAMPLES["PNG"])
    assert "HTTP status 302" in refusal(f"{server}/to/file://{file}")


def test_a_redirect_to_ftp_is_refused(server: str) -> None:
    assert "HTTP status 302" in refusal(f"{server}/to/ftp://127.0.0.1:1/a.png")


def test_a_silent_server_is_given_up(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    assert "timed out" in refusal(f"{server}/slow.png")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.png", "http://", "http://[x/a.png"])
def test_an_unreachable_address_is_refused(server: str, url: str) -> None:
    assert "could not be fetched" in refusal(url)
