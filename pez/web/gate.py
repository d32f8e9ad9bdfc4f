"""What of the server can be reached: the routes that the page uses, and nothing else.

gradio serves more than a page needs: it fetches addresses for visitors, streams, and answers
to any host name. Each would be a way in. This is a list of what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api/"
FILE = API + "file="
_PAGE = ("", "login", "logout", "config", "theme.css", "favicon.ico", "manifest.json", "robots.txt")
_CALLS = ("queue/join", "queue/data", "upload", "upload_progress", "cancel", "reset", "info")
_ABOUT = ("startup-events", "theme.css", "login_check", "user", "token", "app_id")
ALLOWED = frozenset([f"/{name}" for name in _PAGE] + [API + name for name in (*_CALLS, *_ABOUT)])
BELOW = ("/assets/", "/static/", "/svelte/", API + "heartbeat/")
HEADERS = {
    # the page runs its own inline scripts; whatever it loads comes from here
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_LOCAL = re.compile(r"(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?", re.IGNORECASE)


def is_allowed(path: str, folder: Path) -> bool:
    """Whether a decoded ``path`` is one that the page asks for: a route on the list, or a file
    within ``folder``, which holds what visitors sent and what was drawn for them.
    """
    if path.startswith(FILE):
        return _within(path.removeprefix(FILE), folder)
    plain = path if path == "/" else path.removesuffix("/")
    return plain in ALLOWED or plain.startswith(BELOW)


def _within(name: str, folder: Path) -> bool:
    if "\0" in name or not os.path.isabs(name):
        return False
    return Path(os.path.realpath(name)).is_relative_to(os.path.realpath(folder))


class Gate:
    """Passes on requests for what is allowed. ``private`` also refuses host names other than this
    machine's own: a stranger's page can give its name the address 127.0.0.1 and read along.
    """

    def __init__(self, app: App, folder: Path, private: bool) -> None:
        self._app, self._folder, self._private = app, folder, private

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the page opens no other connection
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        known = not self._private or all(_LOCAL.fullmatch(host) for host in hosts)
        if known and is_allowed(scope["path"], self._folder):
            await self._app(scope, receive, _with_headers(send))
        else:
            await _refuse(send)


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await send(message)

    return sent


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"There is no such page."})
