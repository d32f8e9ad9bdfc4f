"""How work runs inside ComfyUI: its progress bar, its Cancel, its memory, and its errors."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management as management
import torch
from comfy.utils import ProgressBar

from pez.errors import PezError
from pez.models import Reader
from pez.models.ambient import plain_torch
from pez.options import SearchOptions
from pez.result import Result
from pez.search.engine import Progress
from pez.search.stop import Stop
from pez.session.session import Session, Watch

CATEGORY = "pez"
ROOM = 4 << 30  # bytes of a GPU that ComfyUI's own models should leave free for ours
Search = Callable[[Session, Watch], Sequence[Result | None]]

_FLAG = re.compile(r"--([a-z][a-z-]*)")
_LOG = logging.getLogger(__name__)


class Cancel(Stop):
    """Asked as soon as ComfyUI's Cancel is: ComfyUI sets a flag, which is looked up here."""

    @property
    def asked(self) -> bool:
        """Whether the user asked to stop."""
        return self._asked or management.processing_interrupted()

    @asked.setter
    def asked(self, value: bool) -> None:
        self._asked = value


def found(node: Any, reader: Reader, options: SearchOptions, search: Search) -> list[Result]:
    """The results of a search; meanwhile the ``node`` shows its progress and the best prompt so
    far. Raises ComfyUI's own exception if the user cancels it, PezError in terms of nodes for bad
    input.

    ComfyUI runs nodes in inference mode, where nothing has gradients: the search leaves it.
    """
    bar, best = ProgressBar(1), ""

    def progress(done: Progress, prompt: str) -> None:
        nonlocal best
        bar.update_absolute(done.steps, max(done.total, 1))
        if prompt != best:
            show(getattr(node.hidden, "unique_id", None), best := prompt)

    make_room(reader.table.device)
    with in_terms_of_nodes(), plain_torch():
        watch = Watch(stop=Cancel(), progress=progress, note=say)
        results = search(Session.of(reader, options), watch)
        management.throw_exception_if_processing_interrupted()
        each = [result for result in results if result is not None]
        if len(each) < len(results):
            raise PezError("the search ended before every prompt was found; queue it again.")
        return each


def show(node: str | None, text: str) -> None:
    """Write a text into a node while it runs, where a server is there to pass it on."""
    instance = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if instance is not None and node is not None:
        instance.send_progress_text(text, node, instance.client_id)


def say(text: str) -> None:
    """What a user should know though all goes on, in ComfyUI's log."""
    _LOG.warning("pez: %s", in_node(text))


def make_room(device: torch.device) -> None:
    """Let ComfyUI move models of its own off the GPU where little of it is free."""
    if device.type != "cpu":
        management.free_memory(ROOM, device)


@contextmanager
def in_terms_of_nodes() -> Iterator[None]:
    """Within, a PezError says its sentence in terms of a node's inputs; after Cancel it is
    ComfyUI's own exception instead.
    """
    try:
        yield
    except PezError as error:
        management.throw_exception_if_processing_interrupted()
        raise PezError(in_node(str(error))) from None


def in_node(text: str) -> str:
    """A sentence about flags as one about a node's inputs: ``--also-negative`` is
    ``also_negative``.
    """
    return _FLAG.sub(lambda flag: flag[1].replace("-", "_"), text)
