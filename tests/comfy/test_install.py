"""``pez comfy`` puts a small folder into a ComfyUI, and nothing of the user's is replaced."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import pez.comfy
from pez.cli import main

PACKAGE = Path(pez.comfy.__file__).parent


def loaded(folder: Path) -> ModuleType:
    """The folder's module, imported as ComfyUI does: by its path, under a name of its own."""
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("inside", ["", "custom_nodes"])
def test_the_nodes_are_loaded_from_custom_nodes(
    inside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "custom_nodes").mkdir()
    assert main(["comfy", str(tmp_path / inside)]) == 0
    folder = tmp_path / "custom_nodes" / "pez"
    assert capsys.readouterr().out == f"{folder}\n"
    nodes = asyncio.run(loaded(folder).comfy_entrypoint().get_node_list())
    assert "PezInvert" in [node.define_schema().node_id for node in nodes]
    for path in (PACKAGE / "example_workflows").iterdir():
        assert (folder / "example_workflows" / path.name).read_bytes() == path.read_bytes()
    assert main(["comfy", str(tmp_path / inside)]) == 0  # again, as after an update


def test_the_package_itself_can_be_linked(tmp_path: Path) -> None:
    (tmp_path / "pez").symlink_to(PACKAGE)
    assert asyncio.run(loaded(tmp_path / "pez").comfy_entrypoint().get_node_list())


def test_nothing_of_the_user_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["comfy", str(tmp_path)]) == 2
    assert "no custom_nodes" in capsys.readouterr().err
    folder = tmp_path / "custom_nodes" / "pez"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("NODE_CLASS_MAPPINGS = {}\n")
    assert main(["comfy", str(tmp_path)]) == 2
    assert "move it away" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["__init__.py"]
    assert (folder / "__init__.py").read_text() == "NODE_CLASS_MAPPINGS = {}\n"
    (folder / "__init__.py").unlink()
    folder.rmdir()
    folder.symlink_to(PACKAGE)
    before = (PACKAGE / "__init__.py").read_bytes()
    assert main(["comfy", str(tmp_path)]) == 2
    assert "is a link" in capsys.readouterr().err
    assert (PACKAGE / "__init__.py").read_bytes() == before
