"""Quiet use of the hub: the cache alone if it does not answer, without long waits."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from pez.errors import PezError
from pez.files import user_path
from pez.models.reach import lose_patience, silence


def prepare_hub() -> None:
    """Fall back to cached files at once where the hub does not answer.

    Without this the hub's client retries each file for half a minute, and longer where a
    server accepts the connection and never answers.
    """
    from huggingface_hub import constants

    for name in ("huggingface_hub", "open_clip", "transformers", "timm", "diffusers"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().setLevel(logging.CRITICAL)  # open_clip logs to the root
    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE") is not None:
        return
    if silence():
        os.environ["HF_HUB_OFFLINE"] = "1"  # for workers, too
        constants.HF_HUB_OFFLINE = True  # read at import, which may have happened already
    else:
        lose_patience()


def split_revision(name: str) -> tuple[str, str | None]:
    """``owner/name@revision`` -> both: a branch, a tag or a commit; None if none is named.

    A file or folder of this disk may have such a name, which is then left unchanged. PezError
    for an empty revision.
    """
    bare, at, revision = name.partition("@")
    if not at or user_path(name).exists():
        return name, None
    if not revision or not bare:
        raise PezError(f"{name!r} names no revision; write owner/name@branch, @tag or @commit.")
    return bare, revision


def fetch_one(repo: str, files: Sequence[str], revision: str | None = None) -> Path:
    """Download the first of ``files`` that a repository has into the cache; returns its path.
    Errors of the hub's client pass through, as some libraries would hide them.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    missing: list[Exception] = []
    for file in files:
        try:
            return Path(hf_hub_download(repo, file, revision=revision))
        except RemoteEntryNotFoundError as error:
            missing.append(error)
        except LocalEntryNotFoundError as error:
            if not constants.HF_HUB_OFFLINE:
                raise
            missing.append(error)
    raise missing[0]
