"""A hub on this machine: folders served under the hub's own addresses, with its own failures.

What it answers is what huggingface_hub asks for: a file's head with its ETag, commit and size
(large files by a redirect to another host), its body from any place on, what a repository holds.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")  # kept by content beside the repository, as in Git LFS
TOKEN = "hf_reader"  # who may see gated repositories


@dataclass(eq=False)
class LocalHub:
    """Repositories are folders below ``root``: ``owner/name`` and, for another revision than
    main, ``owner/name@revision``. ``faults`` has what goes wrong, by repository or by
    ``repository/file``: gated, private, disabled, 503, 429, silent, half, short, stuck or other.
    """

    root: Path
    faults: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""
    freed: threading.Event = field(default_factory=threading.Event)

    def folder(self, repo: str, revision: str) -> Path | None:
        """The folder of a repository at a revision or commit."""
        places = [self.root / repo, *(self.root / repo).parent.glob(f"{Path(repo).name}@*")]
        for place in places:
            names = {commit(place), place.name.partition("@")[2] or "main"}
            if revision in names and place.is_dir():
                return place
        return None


def commit(folder: Path) -> str:
    """The commit of a folder: 40 hex digits of its name."""
    return hashlib.sha1(f"{folder.parent.name}/{folder.name}".encode()).hexdigest()


@contextmanager
def serve(hub: LocalHub) -> Iterator[LocalHub]:
    """Answer for ``hub`` on a free port of this machine, whose address it then has."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.freed.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.faults.get("") == "silent":
            self.hub.freed.wait(60)
            self.close_connection = True
            return
        parts = path.split("/")
        if parts[:2] == ["api", "models"]:
            self.about("/".join(parts[2:4]), parts[4:])
        elif "resolve" in parts[1:3]:
            at = parts.index("resolve")
            self.file("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]))
        elif parts[0] == "large":
            self.body("/".join(parts[1:]), self.hub.root / "/".join(parts[1:]))
        else:
            self.answer(200 if not path else 404)

    do_HEAD = do_GET

    def about(self, repo: str, rest: list[str]) -> None:
        """What a repository holds."""
        revision = rest[1] if len(rest) > 1 else "main"
        if self.refused(repo, repo):
            return
        folder = self.hub.folder(repo, revision)
        if folder is None:
            self.missing("RevisionNotFound", f"Invalid rev id: {revision}")
            return
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        names = [p.relative_to(folder).as_posix() for p in files]
        told: Any = {"id": repo, "modelId": repo, "sha": commit(folder), "private": False}
        told |= {"tags": [], "downloads": 0, "likes": 0, "library_name": None}
        told |= {"siblings": [{"rfilename": name} for name in names]}
        if rest[:1] == ["tree"]:
            told = [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": _sha1(path)}
                | ({"lfs": _large(path)} if name.endswith(LARGE) else {})
                for name, path in zip(names, files, strict=True)
            ]
        self.answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def file(self, repo: str, revision: str, name: str) -> None:
        """A file of a repository: small ones here, large ones elsewhere."""
        if self.refused(repo, f"{repo}/{name}"):
            return
        folder = self.hub.folder(repo, revision)
        if folder is None:
            self.missing("RevisionNotFound", f"Invalid rev id: {revision}")
            return
        headers = {"X-Repo-Commit": commit(folder)}
        path = folder / name
        if not path.is_file():
            self.missing("EntryNotFound", "Entry not found", headers)
        elif name.endswith(LARGE):
            told = _large(path)
            place = path.relative_to(self.hub.root).as_posix()
            port = urlsplit(self.hub.address).port
            headers |= {"X-Linked-Etag": f'"{told["oid"]}"', "X-Linked-Size": str(told["size"])}
            headers |= {"Location": f"http://localhost:{port}/large/{place}"}
            self.answer(302, b"", headers)
        else:
            self.body(f"{repo}/{name}", path, headers | {"ETag": f'"{_sha1(path)}"'})

    def body(self, name: str, path: Path, headers: dict[str, str] | None = None) -> None:
        """The bytes of a file from the requested offset, or what a fault makes of them."""
        data = path.read_bytes()
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        span = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        fault = self.hub.faults.get(name, "")
        whole, size = data[start:], len(data) - start
        if fault == "short":
            whole = whole[: size // 2]
            size = len(whole)
        if fault == "other":  # a page of a proxy's, as long as the file
            whole = (b"<html>please log in</html>" * (size // 26 + 1))[:size]
        self.send_response(206 if start else 200)
        for key, value in {"Content-Length": str(size), **span, **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault in ("half", "stuck"):
            self.wfile.write(whole[: size // 2] if not start else b"")
            self.wfile.flush()
            if fault == "stuck":
                self.hub.freed.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(whole)

    def refused(self, repo: str, name: str) -> bool:
        """Whether a repository or file is refused; the answer that says why was then sent."""
        fault = self.hub.faults.get(repo) or self.hub.faults.get(name, "")
        known = (self.hub.root / repo).is_dir()
        if not known:  # the hub does not tell strangers what there is
            text = (
                "Repository not found" if TOKEN in self.bearer else "Invalid username or password."
            )
            code = {"X-Error-Code": "RepoNotFound", "X-Error-Message": text}
            self.answer(404 if TOKEN in self.bearer else 401, b"", code)
        elif "hf_" in self.bearer and TOKEN not in self.bearer:
            text = "Invalid credentials in Authorization header"
            self.answer(401, b"", {"X-Error-Message": text})
        elif fault == "gated" and TOKEN not in self.bearer:
            text = f"Access to model {repo} is restricted. You must have access to it."
            self.answer(401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": text})
        elif fault == "disabled":
            self.answer(403, b"", {"X-Error-Message": "Access to this resource is disabled."})
        elif fault in ("429", "503"):
            self.answer(int(fault))
        elif fault == "silent":
            self.hub.freed.wait(60)
            self.close_connection = True
        else:
            return False
        return True

    @property
    def bearer(self) -> str:
        return self.headers.get("Authorization", "")

    def missing(self, code: str, text: str, headers: dict[str, str] | None = None) -> None:
        told = {"X-Error-Code": code, "X-Error-Message": text}
        self.answer(404, b"", told | (headers or {}))

    def answer(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


def _sha1(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def _large(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
