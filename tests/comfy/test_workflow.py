"""The example workflow fits the nodes as they are declared."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from comfy_core import CORE

import pez.comfy
from pez.comfy import comfy_entrypoint

FOLDER = Path(pez.comfy.__file__).parent / "example_workflows"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@pytest.fixture(params=sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(request.param.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    """The schemas of our nodes by their ids."""
    listed = asyncio.run(comfy_entrypoint().get_node_list())
    return {schema.node_id: schema for schema in (node.define_schema() for node in listed)}


def declared(node: str, ours: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The inputs and outputs of a node with their types."""
    if node in CORE:
        return CORE[node]
    schema = ours[node]
    inputs = {one.id: one.get_io_type() for one in schema.inputs}
    return inputs, [one.get_io_type() for one in schema.outputs]


def test_there_is_an_example() -> None:
    assert [path.name for path in FOLDER.glob("*.json")] == ["pez_invert.json"]


def test_every_link_joins_what_fits(workflow: dict[str, Any], ours: dict[str, Any]) -> None:
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for number, start, out, end, into, kind in workflow["links"]:
        source, target = nodes[start], nodes[end]
        socket = target["inputs"][into]
        assert declared(source["type"], ours)[1][out] == kind
        assert declared(target["type"], ours)[0][socket["name"]] in (kind, "*")
        assert number in source["outputs"][out]["links"] and socket["link"] == number
    listed = {link[0] for link in workflow["links"]}
    for node in workflow["nodes"]:
        own = [socket["link"] for socket in node["inputs"] if socket["link"]]
        own += [link for socket in node["outputs"] for link in socket["links"]]
        assert set(own) <= listed


def test_every_input_is_connected_or_has_a_widget(
    workflow: dict[str, Any], ours: dict[str, Any]
) -> None:
    for node in workflow["nodes"]:
        connected = {socket["name"] for socket in node["inputs"] if socket["link"]}
        needed = declared(node["type"], ours)[0]
        if node["type"] in ours:
            optional = {one.id for one in ours[node["type"]].inputs if one.optional}
            needed = {k: v for k, v in needed.items() if v not in WIDGETS and k not in optional}
        assert set(needed) <= connected, node["type"]


def test_the_values_are_those_of_the_widgets(
    workflow: dict[str, Any], ours: dict[str, Any]
) -> None:
    """A workflow holds them by their order alone."""
    used = [node for node in workflow["nodes"] if node["type"] in ours]
    assert {node["type"] for node in used} >= {"PezModel", "PezInvert", "PezExplain"}
    for node in used:
        values = list(node["widgets_values"])
        for one in ours[node["type"]].inputs:
            if (kind := one.get_io_type()) not in WIDGETS:
                continue
            value = values.pop(0)
            if kind == "COMBO":
                assert value in one.options or one.id == "model"
            else:
                assert type(value) is {"INT": int, "FLOAT": float, "STRING": str}.get(kind, bool)
            if getattr(one, "control_after_generate", None):
                assert values.pop(0) == "fixed"
        assert values == []
