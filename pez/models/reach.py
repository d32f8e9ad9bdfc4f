"""Whether the hub answers, and how long its client may wait for it."""

from __future__ import annotations

import errno
import socket
import threading
import time
from functools import lru_cache
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

# what says that nobody answers; all else (a certificate, a scheme) is left to the hub's client
_UNREACHED = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def silence() -> str:
    """Why the hub does not answer; "" if it does, or if only its client can tell."""
    from huggingface_hub import constants

    minute = int(time.monotonic() // 60)  # a command asks for several things; once is enough
    return _silence(constants.ENDPOINT, float(constants.HF_HUB_ETAG_TIMEOUT), minute)


@lru_cache(maxsize=1)
def _silence(endpoint: str, seconds: float, _minute: int) -> str:
    if request.getproxies() and not request.proxy_bypass(urlsplit(endpoint).hostname or ""):
        return ""  # names are resolved by the proxy
    told: list[str] = []

    def ask() -> None:
        told.append(_asked(endpoint, seconds))

    # a host may have many addresses and a resolver its own patience: bound all of it
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return told[0] if told else f"no answer within {seconds:g} seconds"


def _asked(endpoint: str, seconds: float) -> str:
    try:
        request.urlopen(request.Request(endpoint, method="HEAD"), timeout=seconds).close()
    except HTTPError:
        return ""  # whatever it answers, it answers
    except (OSError, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        known = isinstance(why, socket.gaierror | ConnectionError | TimeoutError)
        if known or (isinstance(why, OSError) and why.errno in _UNREACHED):
            return str(getattr(why, "strerror", "") or why)
    except Exception:  # no HTTP: the hub's client will say so
        return ""
    return ""


def lose_patience() -> None:
    """Make the hub's client give up once nothing was answered for three times its timeout.

    It tries a file again six times with a minute's patience each; HF_HUB_ETAG_TIMEOUT, which a
    user may set, holds only for the first time.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import get_session

    session: Any = get_session()
    if getattr(session, "pez_patience", None) or not hasattr(session, "event_hooks"):
        return
    session.pez_patience = True
    waiting: list[float] = []  # since when

    def asks(sent: Any) -> None:
        limit = constants.HF_HUB_ETAG_TIMEOUT
        if sent.method == "HEAD" and sent.extensions.get("timeout"):
            times = sent.extensions["timeout"]
            sent.extensions["timeout"] = {k: min(t or limit, limit) for k, t in times.items()}
        if waiting and time.monotonic() - waiting[0] >= 3 * limit:
            waiting.clear()
            raise OfflineModeIsEnabled(f"{constants.ENDPOINT} has stopped answering")
        if not waiting:
            waiting.append(time.monotonic())

    def answers(_answer: Any) -> None:
        waiting.clear()

    hooks = session.event_hooks
    session.event_hooks = {
        "request": [*hooks.get("request", []), asks],
        "response": [*hooks.get("response", []), answers],
    }
