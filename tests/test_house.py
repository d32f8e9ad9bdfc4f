"""The package's layers: imports downwards only, no circular imports, few top-level files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pez"

# from top to bottom; parts of one layer do not import each other, except in the lowest
LAYERS = (
    ("__init__", "__main__"),
    ("cli",),
    ("web", "comfy"),
    ("evaluation",),
    ("api", "embeddings"),
    ("session",),
    ("inspect",),
    ("generation",),
    ("methods", "objectives", "datasets"),
    ("models",),
    ("search", "workers"),
    ("options", "result", "images", "sources", "formats", "files", "errors", "version"),
)
LAYER = {part: layer for layer, parts in enumerate(LAYERS) for part in parts}
MOST_TOP_LEVEL = 10
WRITER = "files/__init__.py"
BARS = {
    "cli/show.py",
    "workers/processes.py",  # sets the lock that libraries' bars take
}
DISK = {"pathlib", "os", "io", "shutil", "tempfile", "glob", "pez.files", "pez.files.lock"}
REGISTERED = re.compile(r"pez(\.\w+)+(:\w+)?")  # "pez.methods.pez:Pez": loaded by its name


def part_of(file: str) -> str:
    """The part of the package that a file belongs to, by its path within the package."""
    return file.split("/")[0].removesuffix(".py")


def file_of(module: str) -> str | None:
    """The file of a dotted name, as a path within the package, if it is one of its modules."""
    inside = PACKAGE.joinpath(*module.split(".")[1:])
    for file in (inside.with_suffix(".py"), inside / "__init__.py"):
        if module.split(".")[0] == "pez" and file.is_file():
            return file.relative_to(PACKAGE).as_posix()
    return None


def named(node: ast.AST, file: str) -> list[str]:
    """The modules that a piece of code imports, or names as a registry does."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = ["pez", *Path(file).parent.parts]
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        inside = [f"{module}.{alias.name}" for alias in node.names]
        return [name if file_of(name) else module for name in inside]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value.partition(":")[0]] if REGISTERED.fullmatch(node.value) else []
    return []


@cache
def imports() -> dict[str, set[str]]:
    """Each file and the files it imports, late imports included."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {module for node in ast.walk(tree) for module in named(node, file)}
        found[file] = {other for other in map(file_of, modules) if other and other != file}
    return found


def test_every_part_has_a_layer() -> None:
    assert {part_of(file) for file in imports()} <= set(LAYER)


def test_no_import_runs_back_up() -> None:
    lowest = len(LAYERS) - 1
    up = [
        f"{file} -> {other}"
        for file, others in imports().items()
        for other in sorted(others)
        if (mine := LAYER[part_of(file)]) > (theirs := LAYER[part_of(other)])
        or (mine == theirs < lowest and part_of(file) != part_of(other))
    ]
    assert up == []


def reached(start: str) -> set[str]:
    """All files that a file needs; itself among them if it is part of a circle."""
    found: set[str] = set()
    todo = [start]
    while todo:
        new = imports()[todo.pop()] - found
        found |= new
        todo += new
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    assert [file for file in imports() if file in reached(file)] == []


def test_few_files_are_at_the_top_level() -> None:
    top_level = sorted(file for file in imports() if "/" not in file)
    assert len(top_level) <= MOST_TOP_LEVEL, top_level


def test_imports_are_read_wherever_they_stand() -> None:
    files = imports()
    assert "search/engine.py" in files["session/session.py"]  # at the top
    assert "methods/pez.py" in files["methods/__init__.py"]  # by name in a registry
    assert "evaluation/language.py" in files["evaluation/kinds/prompt.py"]  # within a function


# ---- one writer, one bar, no disk in the search


def code() -> Iterator[tuple[str, ast.AST]]:
    """Every piece of code with its file."""
    for file in imports():
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        yield from ((file, node) for node in ast.walk(tree))


def calls_of(node: ast.AST) -> str:
    """The name of what is called: ``replace`` of ``os.replace(...)``; empty for other code."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def renames(node: ast.AST) -> bool:
    """Whether code renames a file; ``str.replace`` and ``dataclasses.replace`` look alike."""
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return node.module in ("os", "shutil") and bool(names & {"replace", "rename", "move"})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = getattr(node.func.value, "id", "")
    if owner in ("os", "shutil"):
        return node.func.attr in ("replace", "rename", "renames", "move")
    return node.func.attr in ("replace", "rename") and len(node.args) == 1 and not node.keywords


def writes(node: ast.AST) -> bool:
    """Whether code opens a file to write it anew."""
    if calls_of(node) in ("write_text", "write_bytes", "save_file"):
        return True
    if not isinstance(node, ast.Call) or calls_of(node) != "open":
        return False
    given = [*node.args, *(word.value for word in node.keywords)]
    modes = [value.value for value in given if isinstance(value, ast.Constant)]
    modes = [mode for mode in modes if isinstance(mode, str) and len(mode) <= 3]
    return any(set(mode) & {"w", "x"} for mode in modes)


def test_one_module_writes_whole_files() -> None:
    assert {file for file, node in code() if renames(node)} == {WRITER}
    assert {file for file, node in code() if writes(node)} == {WRITER}


def test_one_module_draws_progress_bars() -> None:
    assert {file for file, node in code() if "tqdm" in named(node, file)} == BARS


def test_the_search_touches_no_disk() -> None:
    here = [(file, node) for file, node in code() if part_of(file) == "search"]
    assert here
    used = {(file, name) for file, node in here for name in named(node, file)}
    assert not [pair for pair in used if pair[1].split(".")[0] in DISK or pair[1] in DISK]
    opened = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "save", "load"}
    assert not [(file, calls_of(node)) for file, node in here if calls_of(node) in opened]


def test_every_model_keeps_the_words_of_its_tokenizer() -> None:
    made = [
        (file, n) for file, n in code() if calls_of(n) == "Tokens" and part_of(file) == "models"
    ]
    assert len(made) >= 5
    assert not [file for file, node in made if "kept_ids" not in ast.unparse(node)]
