"""Quiet, quick use of the hub: no retries where there is no network."""

from __future__ import annotations

import logging
import os
import socket
from urllib.parse import urlsplit


def prepare_hub() -> None:
    """Fall back to cached files at once where the hub's name cannot be resolved.

    Without this the hub's client retries each file for half a minute.
    """
    for name in ("huggingface_hub", "open_clip", "transformers", "timm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().setLevel(logging.CRITICAL)  # open_clip logs to the root
    if os.environ.get("HF_HUB_OFFLINE") is None and not _reachable():
        os.environ["HF_HUB_OFFLINE"] = "1"
        from huggingface_hub import constants

        constants.HF_HUB_OFFLINE = True  # read at import, which may be over already


def _reachable() -> bool:
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or ""
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True  # names are resolved by the proxy
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
