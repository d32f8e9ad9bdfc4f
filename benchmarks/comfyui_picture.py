"""The picture of the example workflow in docs/comfyui.md, drawn from its JSON.

    python benchmarks/comfyui_picture.py docs/comfyui.png

It shows nodes, sockets, values and links where the file puts them; ComfyUI's own page looks
different.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pez.inspect.ink import COLOURS, INK, LINE, PALE, Sheet, shortened

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "pez" / "comfy" / "example_workflows" / "pez_invert.json"
EDGE, HEAD, ROW, DOT = 24, 28, 22, 5  # pixels
MORE = ("#7f4f24", "#5a5a9a")  # colours: there are eight kinds of links
PARTS = 24  # straight pieces of a link
TITLES = {
    "PezModel": "PEZ model", "PezInvert": "PEZ invert", "PezExplain": "PEZ explain",
    "LoadImage": "Load Image", "PreviewImage": "Preview Image", "VAEDecode": "VAE Decode",
    "CheckpointLoaderSimple": "Load Checkpoint", "SaveImage": "Save Image",
    "EmptyLatentImage": "Empty Latent Image",
}  # fmt: skip


def main() -> None:
    """Draw it."""
    graph = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    kinds = sorted({link[5] for link in graph["links"]})
    colours: dict[str, str] = dict(zip(kinds, (*COLOURS, *MORE), strict=True))
    wide = max(node["pos"][0] + node["size"][0] for node in nodes.values())
    tall = max(node["pos"][1] + height(node) for node in nodes.values())
    sheet = Sheet.of(round(wide) + 2 * EDGE, round(tall) + 2 * EDGE)
    for _, start, out, end, into, kind in graph["links"]:
        target = nodes[end]
        place = rows_of(target).index(target["inputs"][into]["name"])
        draw_link(sheet, at(nodes[start], out, True), at(target, place, False), colours[kind])
    for node in nodes.values():  # above the links, so that all can be read
        draw_node(sheet, node, colours)
    sheet.image.save(sys.argv[1], optimize=True)


def rows_of(node: dict[str, Any]) -> list[str]:
    """The names at a node's left: sockets, then values."""
    return [socket["name"] for socket in node["inputs"] if socket["type"] != "IMAGEUPLOAD"]


def values_of(node: dict[str, Any]) -> dict[str, str]:
    """The values of a node's widgets; those after a seed say what becomes of it."""
    given, out = list(node["widgets_values"]), {}
    widgets = [socket["name"] for socket in node["inputs"] if "widget" in socket]
    for name in sorted(widgets, key=lambda name: declared(node).index(name)):
        out[name] = str(given.pop(0))
        if name == "seed":
            out[name] += f" ({given.pop(0)})"
    return out


def declared(node: dict[str, Any]) -> list[str]:
    """The order of the values in the file: a connected one keeps its place, the first."""
    return [socket["name"] for socket in node["inputs"] if "widget" in socket]


def height(node: dict[str, Any]) -> float:
    """Pixels from the top of a node to its end."""
    rows = max(len(rows_of(node)), len(node["outputs"]))
    return max(node["size"][1] * 0.4, HEAD + ROW * rows + 8)


def at(node: dict[str, Any], place: int, right: bool) -> tuple[float, float]:
    """Where a socket is."""
    x = node["pos"][0] + EDGE + (node["size"][0] if right else 0)
    return x, node["pos"][1] + EDGE + HEAD + ROW * (place + 0.5)


def draw_node(sheet: Sheet, node: dict[str, Any], colours: dict[str, str]) -> None:
    """A box with its title, sockets and values."""
    left, top = node["pos"][0] + EDGE, node["pos"][1] + EDGE
    right = left + node["size"][0]
    fill = "#eef5fb" if node["type"].startswith("Pez") else "#f7f7f7"
    sheet.pen.rounded_rectangle((left, top, right, top + height(node)), 8, fill, LINE, 2)
    title = str(node.get("title") or TITLES.get(node["type"], node["type"]))
    sheet.text(left + 12, top + HEAD / 2 + 2, title, INK, 17)
    values = values_of(node)
    sockets = {socket["name"]: socket for socket in node["inputs"]}
    for n, name in enumerate(rows_of(node)):
        x, y = at(node, n, False)
        linked = sockets[name]["link"]
        if linked or "widget" not in sockets[name]:
            dot(sheet, x, y, colours.get(sockets[name]["type"], PALE))
        sheet.text(x + 12, y, name, PALE, 14)
        if name in values and not linked:
            room = node["size"][0] - 24 - 110
            room -= 60 if n < len(node["outputs"]) else 0
            sheet.text(x + 118, y, shortened(values[name], room, 14), INK, 14)
    for n, out in enumerate(node["outputs"]):
        x, y = at(node, n, True)
        dot(sheet, x, y, colours.get(out["type"], PALE))
        sheet.text(x - 12, y, out["name"], PALE, 14, "rm")


def dot(sheet: Sheet, x: float, y: float, colour: str) -> None:
    """A socket."""
    sheet.pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour)


def draw_link(
    sheet: Sheet, start: tuple[float, float], end: tuple[float, float], colour: str
) -> None:
    """A curve from an output to an input, as a cubic Bezier curve with level ends."""
    bend = max(40.0, abs(end[0] - start[0]) / 2)
    xs = (start[0], start[0] + bend, end[0] - bend, end[0])
    ys = (start[1], start[1], end[1], end[1])
    points = []
    for n in range(PARTS + 1):
        t = n / PARTS
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        points.append(
            (
                sum(w * x for w, x in zip(weights, xs, strict=True)),
                sum(w * y for w, y in zip(weights, ys, strict=True)),
            )
        )
    sheet.pen.line(points, colour, 2, "curve")


if __name__ == "__main__":
    main()
