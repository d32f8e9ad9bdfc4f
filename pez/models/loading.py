"""Loading from the hub or a folder, quietly, with errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pez.errors import PezError
from pez.files import user_path
from pez.models.failures import FOLDER, loading_error
from pez.models.hub import prepare_hub
from pez.models.names import OFFLINE
from pez.models.trust import unasked


@contextmanager
def explained(name: str, generator: bool = False) -> Iterator[None]:
    """Load ``name`` within: without a network a hub id fails at once, and any failure becomes
    one sentence with a remedy.
    """
    local = user_path(name).exists()
    if not local:
        prepare_hub()
    try:
        with quiet(), unasked():
            yield
    except PezError:
        raise
    except Exception as error:  # diffusers, the hub and the file readers each raise their own
        instead = f"use --generator {OFFLINE}, small and offline" if generator else ""
        fit = "try --offload, --dtype float16 or a smaller one"
        raise loading_error(name, error, instead, fit, FOLDER if local else "") from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice while files load."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    before = [(m, m.is_progress_bar_enabled(), m.get_verbosity()) for m in (ours, theirs)]
    for module, _, _ in before:
        module.disable_progress_bar()
        module.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        for module, bar, level in before:
            module.set_verbosity(level)
            if bar:
                module.enable_progress_bar()
