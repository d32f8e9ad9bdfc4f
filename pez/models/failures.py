"""One sentence for any failure while a model is loaded: what went wrong and what to do.

open_clip, transformers and diffusers wrap what the hub's client raises in errors of their own,
often of a single kind; the cause is further down the chain of exceptions.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

import torch

from pez.errors import PezError
from pez.models.reach import silence

NO_CODE = "pez runs no code that comes with a model: name one that needs none"
FOLDER = "the folder's files"  # what to check where a folder of the user's could not be loaded

# by name: the hub's client has used requests, httpx and httpx2 in turn
_BROKEN = {"TimeoutException", "NetworkError", "RemoteProtocolError", "ConnectionError"}
_DAMAGED = {"SafetensorError", "UnpicklingError", "JSONDecodeError", "EOFError", "BadZipFile"}
_DAMAGED_TEXT = ("not a valid JSON", "PytorchStreamReader", "Unable to load weights")
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_RESOLVE = re.compile(r"/([^/]+/[^/]+|[^/]+)/resolve/([^/]+)/([^?\s]+)")


def loading_error(
    name: str, error: BaseException, instead: str = "", fit: str = "", local: str = ""
) -> PezError:
    """The user's sentence for ``error``, raised while loading what the user calls ``name``.

    ``instead`` is what works without the hub, ``fit`` what makes a model fit into memory;
    ``local`` is what to check in the user's own files, if the model is loaded from those.
    """
    if isinstance(error, PezError):
        return error
    if any("trust_remote_code" in str(cause) for cause in _chain(error)):
        return PezError(f"{name} can only be loaded by code of its own; {NO_CODE}.")
    if _memory(error):
        ways = fit or "try --dtype float16 or a smaller model"
        return PezError(f"{name} does not fit into memory; {ways}.")
    unasked = False  # whether a file was asked for and nobody answered
    for cause in _chain(error):
        told = None if local else _told(name, cause, unasked)
        if told:
            return PezError(told)
        kinds = _kinds(cause)
        unasked |= "LocalEntryNotFoundError" in kinds
        if "OfflineModeIsEnabled" in kinds:
            break
    if unasked or "OfflineModeIsEnabled" in kinds:
        return PezError(_offline(name, instead))
    why = _short(error)
    if local:
        return PezError(f"{name} could not be loaded ({why}); check {local}.")
    if damaged := next((c for c in _chain(error) if _is_damaged(c)), None):
        return PezError(
            f"a file of {name} is damaged ({_short(damaged)}); delete its folder below "
            f"{_cache()} and run the same command again."
        )
    return PezError(f"{name} could not be loaded ({why}); check the name and the files behind it.")


def _told(name: str, error: BaseException, unasked: bool) -> str:
    """A sentence for one error of the chain, "" if it says too little."""
    kinds, text = _kinds(error), str(error)
    status = getattr(getattr(error, "response", None), "status_code", 0)
    place, revision, file = _asked_for(name, error)
    repo = place if place in name else f"{place} (for {name})"
    hub = _endpoint()
    if "GatedRepoError" in kinds:
        return (
            f"{repo} is only for users who accepted its licence: do so on {hub}/{place}, then "
            "run `hf auth login` once."
        )
    if "DisabledRepoError" in kinds:
        return f"the hub has closed {repo}; use another model."
    if "RevisionNotFoundError" in kinds:
        return f"{repo} has no revision {revision!r}; {hub}/{place}/tree/main lists them."
    if "RepositoryNotFoundError" in kinds:
        return (
            f"the hub has no repository {repo}, or none that you may see; check the name, or run "
            "`hf auth login` if it is private."
        )
    if "EntryNotFoundError" in kinds and "LocalEntryNotFoundError" not in kinds:
        return f"{repo} on the hub has no file {file}: it is another kind of model, or incomplete."
    if status:
        return _refused(repo, status)
    if "HFValidationError" in kinds:
        return f"{name} is neither a folder here nor an id of the hub, owner/name; check the name."
    if "FileMetadataError" in kinds:
        return f"what answers at {hub} is not a hub; check HF_ENDPOINT and the proxy's settings."
    if "ProxyError" in kinds:
        return f"the proxy blocks the download of {name} ({_short(error)}); check HTTPS_PROXY."
    if "OfflineModeIsEnabled" not in kinds and kinds & _BROKEN:
        if unasked:
            return f"{hub} stopped answering, and {name} is not cached; try again later."
        return f"the download of {name} broke off ({_short(error)}); run the same command again."
    if "URLError" in kinds:
        return f"{name} cannot be downloaded ({_short(error)}); go online once to download it."
    if "Consistency check failed" in text:
        return f"the download of {name} is incomplete; run the same command again."
    if isinstance(error, OSError):
        return _disk(name, error)
    return ""


def _refused(repo: str, status: int) -> str:
    """What an error ``status`` of the hub means."""
    if status == 401:
        return f"the hub refuses your token for {repo}; run `hf auth login` to get another."
    if status == 403:
        return f"your token may not read {repo}; run `hf auth login` with one that may."
    if status == 429:
        return f"the hub limits downloads of {repo} just now; try again in a few minutes."
    if status >= 500:
        return f"the hub is failing and does not serve {repo} (HTTP {status}); try later."
    return f"{_endpoint()} does not serve {repo} (HTTP {status}); check the name and HF_ENDPOINT."


def _disk(name: str, error: OSError) -> str:
    """A full disk, or a cache that cannot be written."""
    if error.errno in _FULL:
        return f"the disk is full; make room in {_cache()} for {name}, or set HF_HOME elsewhere."
    place = str(error.filename or "")
    if error.errno in _UNWRITABLE and place and _is_cache(place):
        return (
            f"{name} cannot be stored: {place} cannot be written ({error.strerror}); set HF_HOME "
            "to a folder that can."
        )
    return ""


def _offline(name: str, instead: str) -> str:
    other = f", or {instead}" if instead else ""
    if not _forbidden():
        return f"{_endpoint()} stopped answering, and {name} is not cached; try later{other}."
    if why := silence():
        return (
            f"{name} is not cached and cannot be downloaded: {_endpoint()} does not answer "
            f"({why}); go online once to download it{other}."
        )
    return (
        f"{name} is not cached and cannot be downloaded: HF_HUB_OFFLINE is set; unset it "
        f"once{other}."
    )


def _asked_for(name: str, error: BaseException) -> tuple[str, str, str]:
    """The repository, revision and file that an error of the hub refers to."""
    answer = getattr(error, "response", None)  # on the error itself, this may raise
    url = str(getattr(getattr(answer, "request", None), "url", ""))
    repo = getattr(error, "repo_id", None)
    if found := _RESOLVE.search(url):
        return repo or found[1], unquote(found[2]), unquote(found[3])
    revision = url.rpartition("/revision/")[2] if "/revision/" in url else ""
    return repo or name, unquote(revision), "of that name"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _memory(error: BaseException) -> bool:
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _is_damaged(error: BaseException) -> bool:
    return bool(_kinds(error) & _DAMAGED) or any(text in str(error) for text in _DAMAGED_TEXT)


def _short(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
    return (text if len(text) < 160 else f"{text[:150]}...") or type(error).__name__


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _forbidden() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def _is_cache(place: str) -> bool:
    """Whether a path is the cache's or the token's, or leads there."""
    from huggingface_hub import constants

    known = (_cache(), os.path.dirname(os.path.abspath(constants.HF_TOKEN_PATH)))
    return any(place.startswith(own) or own.startswith(place) for own in known)


def _cache() -> str:
    from huggingface_hub import constants

    return os.path.abspath(constants.HF_HUB_CACHE)
