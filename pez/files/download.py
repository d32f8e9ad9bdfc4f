"""Pictures at addresses: fetched within bounds of size and time."""

import threading
import time
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pez.errors import PezError

MAX_DOWNLOAD = 64_000_000
TIMEOUT = 30.0  # seconds without an answer
SLOWEST = 10_000  # bytes a second beyond these
PART = 1 << 16


def is_web(source: str) -> bool:
    """Whether a source is an address."""
    return source.lower().startswith(("http://", "https://"))


class _OnlyHttp(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not is_web(newurl):  # urllib alone would follow it to ftp
            raise HTTPError(newurl, code, "it redirects to a non-http address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str) -> bytes:
    """The bytes at an address. PezError if they cannot be had, are too many or come too slowly."""
    got = _Download(url)
    # names resolve, headers arrive and servers redirect at their own pace: a thread is watched,
    # as a timeout applies to each step alone
    thread = threading.Thread(target=got.run, daemon=True)
    start = time.monotonic()
    thread.start()
    while thread.is_alive():
        thread.join(0.02)
        if time.monotonic() - start > TIMEOUT + got.size / SLOWEST:
            got.given_up = True
            spent = f"{got.size} bytes in {time.monotonic() - start:.0f} seconds"
            raise PezError(f"{url} could not be fetched (timed out: {spent}); give a file instead.")
    error = got.error
    if isinstance(error, OSError | HTTPException | ValueError):
        why = str(getattr(error, "reason", "") or error or "no answer").partition("\n")[0]
        if isinstance(error, HTTPError):
            error.close()
            why = f"HTTP status {error.code}: {why}"
        raise PezError(f"{url} could not be fetched ({why}); check the address.") from error
    if error is not None:
        raise error
    if got.size > MAX_DOWNLOAD:
        raise PezError(f"{url} is over {MAX_DOWNLOAD // 10**6} MB; give a smaller copy of it.")
    return b"".join(got.parts)


class _Download:
    """A download in a thread: how far it is, and how it ended."""

    def __init__(self, url: str) -> None:
        self.url, self.size = url, 0
        self.parts: list[bytes] = []
        self.error: BaseException | None = None
        self.given_up = False  # by who waits for it

    def run(self) -> None:
        """Fetch until all is there, it is too much, or it was given up."""
        # addresses copied from a browser may hold spaces and accents, which http does not allow
        plain = quote(self.url, safe="%/:?#[]@!$&'()*+,;=~")
        try:
            request = Request(plain, headers={"User-Agent": "pez/1 (turns pictures into prompts)"})
            with build_opener(_OnlyHttp).open(request, timeout=TIMEOUT) as answer:
                told = int(answer.headers.get("Content-Length") or 0)
                if told > MAX_DOWNLOAD:
                    self.size = told
                    return
                while not self.given_up and self.size <= MAX_DOWNLOAD:
                    if not (part := answer.read1(PART)):
                        break
                    self.parts.append(part)
                    self.size += len(part)
        except BaseException as error:  # told to the thread that waits
            self.error = error
