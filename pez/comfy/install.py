"""Puts the nodes into a ComfyUI: a small file in its ``custom_nodes`` that loads them from here."""

from __future__ import annotations

from pathlib import Path

from pez.errors import PezError
from pez.files import check_own, marked, output_path, write_whole

FOLDER = "pez"  # in custom_nodes
EXAMPLES = "example_workflows"  # where ComfyUI looks for the workflows of a pack
_MARK = "pez comfy wrote this file"
_CODE = f'''"""Loads the nodes of pez. {_MARK}; it may write it again."""

try:
    from pez.comfy import comfy_entrypoint as comfy_entrypoint
except ModuleNotFoundError as error:
    text = "pez is missing: install pez-prompts into the Python that runs ComfyUI."
    raise ImportError(text) from error
'''
_OWN = marked("a file of pez comfy", _MARK.encode(), b'"pez comfy"')


def install(comfyui: str) -> Path:
    """Write the pack's folder in ``custom_nodes`` of the folder of a ComfyUI, or in the folder of
    that name itself, with its example workflows. Returns the pack's folder. PezError if there is no
    such folder, and for a file there that pez did not write.
    """
    place = output_path(comfyui)
    nodes = place if place.name == "custom_nodes" else place / "custom_nodes"
    if not nodes.is_dir():
        raise PezError(f"{comfyui} is not the folder of a ComfyUI: there is no custom_nodes in it.")
    files = {Path("__init__.py"): _CODE.encode()}
    for path in sorted((Path(__file__).parent / EXAMPLES).iterdir()):
        files[Path(EXAMPLES, path.name)] = path.read_bytes()
    folder = nodes / FOLDER
    if folder.is_symlink():
        raise PezError(f"{folder} is a link; remove it, or leave it if it links to pez.")
    for name in files:
        check_own(folder / name, _OWN, "move it away first")
    for name, content in files.items():
        write_whole(folder / name, content, remedy="check that the folder is yours", own=_OWN)
    return folder
