"""A page that is shown to others tells nobody where on this machine its files are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

PLACED = ("item", "search_model", "generator", "judge")  # columns of names that may be paths
# folders from the root or the home on, up to the last part: not those of an address, nor and/or
_FOLDERS = re.compile(
    r"""(?<![\w./~<\\-])(?:~[\w.-]*/|/|[A-Za-z]:[\\/])(?:[^\s/\\"'<>|,;:()]+[\\/])*"""
    r"""(?=[^\s/\\"'<>|,;:()])"""
)


def hide_folders(value: Any) -> Any:
    """A text, or all texts in lists and dicts, with whole paths cut to their last part."""
    if isinstance(value, str):
        return _FOLDERS.sub("", value)
    if isinstance(value, dict):
        return {hide_folders(k): hide_folders(v) for k, v in value.items()}
    return [hide_folders(part) for part in value] if isinstance(value, list | tuple) else value


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name and how it is shown: whole paths by their last part, numbered if several would be
    equal, so that no two things become one.
    """
    out: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short, n = hide_folders(name), 1
        shown = short
        while shown in out.values():
            n += 1
            shown = f"{short} ({n})"
        out[name] = shown
    return out
