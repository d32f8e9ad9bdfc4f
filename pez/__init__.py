"""pez: prompts you can read, found by gradient.

import pez
result = pez.invert("cat.jpg", model="photo", length=9)
print(result.prompt, result.score)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pez.version import __version__ as __version__

if TYPE_CHECKING:
    from pez.api import classify as classify
    from pez.api import distill as distill
    from pez.api import explain as explain
    from pez.api import invert as invert
    from pez.api import mix as mix
    from pez.api import neighbour_map as neighbour_map
    from pez.api import neighbours as neighbours
    from pez.api import score as score
    from pez.errors import Interrupted as Interrupted
    from pez.errors import PezError as PezError
    from pez.errors import PezWarning as PezWarning
    from pez.evaluation.judges import similarity as similarity
    from pez.evaluation.report import report as report
    from pez.evaluation.run import evaluate as evaluate
    from pez.generation import generate as generate
    from pez.inspect.attention import attention as attention
    from pez.models import load_model as load_model
    from pez.result import Result as Result

# loaded when first used, so that `pez --help` need not wait for torch
_PUBLIC = {
    "classify": "pez.api",
    "attention": "pez.inspect.attention",
    "distill": "pez.api",
    "explain": "pez.api",
    "invert": "pez.api",
    "mix": "pez.api",
    "neighbour_map": "pez.api",
    "neighbours": "pez.api",
    "report": "pez.evaluation.report",
    "score": "pez.api",
    "generate": "pez.generation",
    "load_model": "pez.models",
    "evaluate": "pez.evaluation.run",
    "similarity": "pez.evaluation.judges",
    "Result": "pez.result",
    "Interrupted": "pez.errors",
    "PezError": "pez.errors",
    "PezWarning": "pez.errors",
}
__all__ = [  # noqa: RUF022
    "Result",
    "Interrupted",
    "PezError",
    "PezWarning",
    "__version__",
    "classify",
    "attention",
    "distill",
    "evaluate",
    "explain",
    "generate",
    "invert",
    "load_model",
    "mix",
    "neighbour_map",
    "neighbours",
    "report",
    "score",
    "similarity",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'pez' has no attribute {name!r}")
