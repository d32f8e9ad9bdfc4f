"""Starts and ends the server of the page."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.web.models import Models, offered_generators, offered_models
from pez.web.options import ServeOptions
from pez.web.uploads import MOST_BYTES

EXTRA = "pip install 'pez-prompts[web]'"
FIRST, TRIED = 7860, 100  # ports
WAIT = 1.0  # seconds after a wrong password
_SILENT = {  # gradio reads these when it is loaded
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_ALLOWED_PATHS": "",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def serve(options: ServeOptions, ready: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C. ``ready`` gets its address. PezError if gradio is missing, and
    for a port or host that cannot be had.
    """
    if util.find_spec("gradio") is None:
        raise PezError(f"pez serve needs gradio; {EXTRA}.")
    names = offered_models(options.model)
    port = free_port(options.host, options.port)
    with tempfile.TemporaryDirectory(prefix="pez-page-") as folder, _environment(folder):
        page = _launch(options, names, Path(folder), port)
        try:
            ready(page.local_url)
            threading.Event().wait()
        finally:
            page.close(verbose=False)


@contextlib.contextmanager
def _environment(folder: str) -> Iterator[None]:
    """The settings of gradio that are no arguments; what visitors send goes to ``folder``."""
    ours = {**_SILENT, "GRADIO_TEMP_DIR": folder}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _launch(options: ServeOptions, names: list[str], folder: Path, port: int) -> Any:
    from starlette.middleware import Middleware

    from pez.web.board import asset
    from pez.web.gate import Gate
    from pez.web.page import make_page, theme

    models, host = Models(options.device, options.dtype), options.host.strip("[]")
    page = make_page(models, names, offered_generators(options.generator), options.control_model)
    gate = Middleware(Gate, folder=folder, private=options.private)  # type: ignore[arg-type]
    page.queue(default_concurrency_limit=1, max_size=64, api_open=False).launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        auth=knows(options.password) if options.password else None,  # type: ignore[arg-type]
        auth_message="Any name will do; the password is the one that pez serve was given.",
        share=False,
        quiet=True,
        show_error=True,
        prevent_thread_lock=True,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        ssr_mode=False,
        pwa=False,
        max_file_size=MOST_BYTES,
        app_kwargs={"middleware": [gate], "docs_url": None, "redoc_url": None},
        theme=theme(),
        css=asset("page.css"),
        head=f"<script>{asset('page.js')}</script>",
    )
    threading.Thread(target=_warm, args=(models, names[0]), daemon=True).start()
    return page


def _warm(models: Models, name: str) -> None:
    """Load the first model while the visitor looks around; what goes wrong is said at a search."""
    with contextlib.suppress(PezError), models.busy:
        models.reader(name)


def knows(password: str) -> Callable[[str, str], Awaitable[bool]]:
    """Whether a visitor knows the password, whatever the name. A wrong one has to wait, so that
    guessing is slow.
    """

    async def check(_name: str, given: str) -> bool:
        right = secrets.compare_digest(given.encode(), password.encode())
        if not right:
            await asyncio.sleep(WAIT)
        return right

    return check


def free_port(host: str, port: int = 0) -> int:
    """``port``, or the first free one from FIRST on. PezError if it cannot be had."""
    tried = [port] if port else range(FIRST, FIRST + TRIED)
    why = ""
    for one in tried:
        try:
            for place in {host.strip("[]"), "127.0.0.1"}:  # gradio needs the latter always
                _try(place, one)
            return one
        except OSError as error:
            why = error.strerror or str(error)
    what = f"port {port}" if port else f"a port from {FIRST} to {FIRST + TRIED - 1}"
    raise PezError(f"{what} of {host} cannot be had ({why}); give another --port or --host.")


def _try(host: str, port: int) -> None:
    family, kind, proto, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind(place)
