"""Whether the hub answers, and how long its client may wait for it."""

from __future__ import annotations

import errno
import math
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

# these mean that nobody answers; the rest (a certificate, a scheme) is left to the hub's client
_UNREACHED = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}
_BUSY = {408, 429, 500, 502, 503, 504}  # statuses that the hub's client retries
TRIES = 3  # of these
SLOWEST = 10_000  # bytes a second of a download


def silence() -> str:
    """Why the hub does not answer; "" if it does, or if only its client can find out."""
    from huggingface_hub import constants

    minute = int(time.monotonic() // 60)  # a command makes several requests; one check is enough
    return _silence(constants.ENDPOINT, float(constants.HF_HUB_ETAG_TIMEOUT), minute)


@lru_cache(maxsize=1)
def _silence(endpoint: str, seconds: float, _minute: int) -> str:
    if request.getproxies() and not request.proxy_bypass(urlsplit(endpoint).hostname or ""):
        return ""  # names are resolved by the proxy
    told: list[str] = []

    def ask() -> None:
        told.append(_asked(endpoint, seconds))

    # a host may have many addresses and a resolver its own timeout: bound the whole
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return told[0] if told else f"no answer within {seconds:g} seconds"


def _asked(endpoint: str, seconds: float) -> str:
    try:
        request.urlopen(request.Request(endpoint, method="HEAD"), timeout=seconds).close()
    except HTTPError:
        return ""  # any answer will do
    except (OSError, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        known = isinstance(why, socket.gaierror | ConnectionError | TimeoutError)
        if known or (isinstance(why, OSError) and why.errno in _UNREACHED):
            return str(getattr(why, "strerror", "") or why)
    except Exception:  # not HTTP: the hub's client will report it
        return ""
    return ""


def lose_patience() -> None:
    """Make the hub's client give up where it would keep trying for minutes.

    It retries a file six times with a timeout of a minute each (HF_HUB_ETAG_TIMEOUT, which a
    user may set, applies only to the first try), and waits as long as a busy hub asks it to.
    """
    from huggingface_hub.utils import get_session

    session: Any = get_session()
    hooks = getattr(session, "event_hooks", None)
    if hooks is None:
        return
    patience = _Patience()  # a new one: earlier requests are over
    session.event_hooks = {
        "request": [*filter(_of_others, hooks["request"]), patience.asks],
        "response": [*filter(_of_others, hooks["response"]), patience.answers],
    }


def _paced(answer: Any) -> Any:
    """The body of an answer; OfflineModeIsEnabled once it comes more slowly than SLOWEST for
    longer than three timeouts, which apply to each part alone.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    # whichever library the hub's client uses; it reads the body only from a stream of its own
    library = import_module(type(answer).__module__.partition(".")[0])
    base, inner, start = library.SyncByteStream, answer.stream, time.monotonic()
    if not isinstance(inner, base):
        return inner

    class Paced(base):
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for part in inner:
                size += len(part)
                spent = time.monotonic() - start
                if spent > 3 * constants.HF_HUB_DOWNLOAD_TIMEOUT + size / SLOWEST:
                    raise OfflineModeIsEnabled(f"{constants.ENDPOINT} has stopped answering")
                yield part

        def close(self) -> None:
            inner.close()

    return Paced()


def _of_others(hook: Any) -> bool:
    return not isinstance(getattr(hook, "__self__", None), _Patience)


@dataclass
class _Patience:
    """Failed requests: since when there was no answer, and how many were refused."""

    since: float | None = None
    refused: int = 0

    def asks(self, sent: Any) -> None:
        """Before a request: OfflineModeIsEnabled after three timeouts without any answer, and
        at once from then on, as callers go on to the next file.
        """
        from huggingface_hub import constants
        from huggingface_hub.errors import OfflineModeIsEnabled

        limit, now = constants.HF_HUB_ETAG_TIMEOUT, time.monotonic()
        head = sent.method == "HEAD"
        most = limit if head else constants.HF_HUB_DOWNLOAD_TIMEOUT  # some calls have none
        times = sent.extensions.get("timeout") or {}
        sent.extensions["timeout"] = {
            kind: min(times.get(kind) or most, most if head else math.inf)
            for kind in ("connect", "read", "write", "pool")
        }
        resumes = "Range" in sent.headers  # partial downloads are costly; bounded
        if self.since is not None and now - self.since >= 3 * limit and not resumes:
            raise OfflineModeIsEnabled(f"{constants.ENDPOINT} has stopped answering")
        self.since = now if self.since is None else self.since

    def answers(self, answer: Any) -> None:
        """After an answer: HfHubHTTPError where the hub is down or busy and stays so."""
        from huggingface_hub.utils import hf_raise_for_status

        self.since = None
        answer.stream = _paced(answer)
        if answer.status_code not in _BUSY:
            self.refused = 0
            return
        self.refused += 1
        told = answer.headers.get("Retry-After", "") + answer.headers.get("RateLimit", "")
        if self.refused > TRIES or told:
            hf_raise_for_status(answer)
