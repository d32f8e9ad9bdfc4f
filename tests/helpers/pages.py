"""The pages of docs/: their examples as modules, their registry lines, plans and commands."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from common import ROOT

DOCS = ROOT / "docs"
FILE = re.compile(r"# pez/([\w/]+)\.py\n")  # the first line of a block that is a whole file
LINE = re.compile(r"# ([A-Z]+) in (pez(?:/\w+)+)\.py\n")  # of one that is a registry line


@dataclass(frozen=True)
class Line:
    """A line of a registry: where the registry is, and what it gets."""

    registry: dict[str, Any]
    name: str
    value: Any


@dataclass(frozen=True)
class Page:
    """What a page tells people to write and to type, exactly as it stands there."""

    files: dict[str, str]  # by the module that each becomes
    lines: list[Line]
    plan: str
    commands: list[str]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def read_page(path: Path) -> Page:
    """A page by its blocks; each of Python must say what it is."""
    text = path.read_text(encoding="utf-8")
    files, lines = {}, []
    for block in blocks(text, "python"):
        if found := FILE.match(block):
            files["pez." + found[1].replace("/", ".")] = block
            continue
        found = LINE.match(block)
        assert found, f"{path.name}: a block of Python that is no file and no registry line"
        registry = getattr(
            import_module(found[2].removesuffix("/__init__").replace("/", ".")), found[1]
        )
        ((name, value),) = ast.literal_eval("{" + block[found.end() :] + "}").items()
        lines.append(Line(registry, name, value))
    plans = blocks(text, "toml")
    assert len(plans) <= 1
    commands = [line for block in blocks(text, "sh") for line in block.splitlines()]
    return Page(files, lines, "".join(plans), commands)


def install(page: Page) -> dict[str, ModuleType]:
    """The page's files as modules that can be imported by the names they would have."""
    made = {}
    for name, source in page.files.items():
        made[name] = sys.modules[name] = ModuleType(name)
        exec(compile(source, name, "exec"), vars(made[name]))
    return made
