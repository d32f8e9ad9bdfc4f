"""Loading from the hub or a folder, quietly, with errors that say what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pez.errors import PezError
from pez.models.hub import prepare_hub
from pez.models.names import OFFLINE


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Load ``name`` within: a hub id is not waited for where there is no network, and whatever
    goes wrong becomes one sentence with the mend in it.
    """
    local = Path(name).expanduser().exists()
    if not local:
        prepare_hub()
    try:
        with quiet():
            yield
    except PezError:
        raise
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise PezError(
            f"{name} does not fit into memory; try --offload, --dtype float16 or a smaller one."
        ) from error
    except Exception as error:  # diffusers, the hub and the file readers each raise their own
        why = str(error).strip().split("\n")[0][:160] or type(error).__name__
        if local:
            raise PezError(f"{name} could not be loaded ({why}); check its files.") from error
        if "Gated" in type(error).__name__ or "401" in why or "403" in why:
            raise PezError(
                f"{name} is only for those who agreed to its licence: do so on its page of the "
                "hub, then run hf auth login once."
            ) from error
        raise PezError(
            f"the weights of {name} are neither cached nor to be had from the hub just now; go "
            f"online once to fetch them, or take --generator {OFFLINE}, small and offline."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no advice while files load."""
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
