"""Quiet, quick use of the hub: no retries where there is no network."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import torch

from pez.errors import PezError
from pez.models.devices import pick_device


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


def not_to_be_had(name: str, error: Exception) -> PezError:
    """What to say where the weights of ``name`` neither lie here nor can be fetched."""
    why = str(error).strip().split("\n")[0][:120] or type(error).__name__
    return PezError(
        f"the weights of {name} are neither cached nor to be had ({why}); go online once."
    )


def open_pretrained(
    name: str, device: str, kind: Any, reader: Any, called: str = ""
) -> tuple[Any, Any, torch.device]:
    """A frozen model of transformers' class ``kind``, its tokenizer or processor by ``reader``,
    and where it lies. ``called`` is how the user named it. PezError if it cannot be had.
    """
    from transformers.utils.logging import disable_progress_bar

    prepare_hub()
    disable_progress_bar()  # of weights being read: it would tear the search's own
    where = pick_device(device)
    try:
        other = reader.from_pretrained(name)
        model = kind.from_pretrained(name).eval().requires_grad_(False).to(where)
    except Exception as error:  # transformers and the hub each raise their own
        raise not_to_be_had(called or name, error) from error
    return model, other, where


def _reachable() -> bool:
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or ""
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return True  # names are resolved by the proxy
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
