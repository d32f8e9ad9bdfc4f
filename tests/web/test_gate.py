"""What of the server can be reached, and who may serve to whom."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from pez.cli import main
from pez.errors import PezError
from pez.web import server
from pez.web.gate import HEADERS, Gate, is_allowed
from pez.web.options import ServeOptions
from pez.web.server import free_port, knows

FILE = "/gradio_api/file="


def test_only_the_pages_routes_and_visitors_files_are_reached(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "own.png").touch()
    (tmp_path / "secret").touch()
    (inside / "link").symlink_to(tmp_path / "secret")
    for path in (
        "/",
        "/config",
        "/gradio_api/queue/join",
        "/assets/a.js",
        f"{FILE}{inside}/own.png",
    ):
        assert is_allowed(path, inside), path
    refused = [
        *(f"{FILE}{name}" for name in ("/etc/passwd", "https://a.b/c", "own.png", "", "\0")),
        *(f"{FILE}{inside}/{name}" for name in ("../secret", "link", "../../etc/passwd")),
        *(f"{FILE}{Path(__file__)}", f"{FILE}//etc/passwd", "/gradio_api/file/etc/passwd"),
        *("/monitoring", "/gradio_api/proxy=http://a.b", "/gradio_api/vibe-edit", "/docs"),
        *("/gradio_api/run/predict", "/gradio_api/runs", "/gradio_api/stream/x", "/openapi.json"),
    ]
    for path in refused:
        assert not is_allowed(path, inside), path


def answer_of(host: str, private: bool, path: str = "/") -> dict[str, Any]:
    """What the gate answers to a request for a host name."""
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"host", host.encode())]}
    asyncio.run(Gate(page, Path("/nowhere"), private)(scope, receive, send))
    return sent[0]


def test_a_private_page_answers_to_its_own_names_alone() -> None:
    for host in ("127.0.0.1:7860", "localhost:7860", "[::1]:7860", "LOCALHOST"):
        assert answer_of(host, True)["status"] == 200
    for host in ("evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example"):
        assert answer_of(host, True)["status"] == 404
    assert answer_of("studio.example", False)["status"] == 200


def test_the_browser_is_told_to_load_from_here_alone() -> None:
    headers = dict(answer_of("localhost", True)["headers"])
    policy = headers[b"content-security-policy"].decode()
    assert policy == HEADERS["content-security-policy"]
    sources = {word for part in policy.split("; ") for word in part.split()[1:]}
    known = {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
    assert sources <= known, "no other host"


def test_others_may_come_only_with_a_password() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert ServeOptions(host=host).private
    for host in ("0.0.0.0", "192.168.1.5", "::", "studio.example"):
        with pytest.raises(PezError, match="give a --password"):
            ServeOptions(host=host)
        assert not ServeOptions(host=host, password="eight or more").private
    with pytest.raises(PezError, match="too short"):
        ServeOptions(password="short")
    with pytest.raises(PezError, match="--port"):
        ServeOptions(port=70000)


def test_a_password_is_asked_for_and_guessing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WAIT", 0.2)
    check = knows("eight or more")
    assert asyncio.run(check("anyone", "eight or more")) is True  # type: ignore[arg-type]
    begin = time.monotonic()
    assert asyncio.run(check("anyone", "eight or less")) is False  # type: ignore[arg-type]
    assert time.monotonic() - begin >= 0.2


def test_a_taken_port_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PezError, match=f"port {port} of 127.0.0.1 cannot be had"):
            free_port("127.0.0.1", port)
        assert free_port("127.0.0.1") != port
        with pytest.raises(PezError, match="cannot be had"):  # gradio would fail with a traceback
            free_port("::1", port)


def test_a_missing_extra_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pez.web.server.util.find_spec", lambda name: None)
    assert main(["serve"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "pez serve needs gradio; pip install 'pez-prompts[web]'" in said.err
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "--password" in capsys.readouterr().err
