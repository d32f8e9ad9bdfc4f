"""The pack in a real ComfyUI: loaded, searched with, cancelled, cached.

ComfyUI is in no package. Name the folder of one in PEZ_COMFYUI, and run the tests by a Python that
has its requirements.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from comfy_core import CORE
from common import ROOT

COMFYUI = os.environ.get("PEZ_COMFYUI", "")
pytestmark = pytest.mark.skipif(not COMFYUI, reason="PEZ_COMFYUI names no folder of a ComfyUI")
Graph = dict[str, dict[str, Any]]


class Server:
    """A running ComfyUI."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> Any:
        data = json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, kind)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, graph: Graph) -> str:
        return self.post("/prompt", {"prompt": graph})["prompt_id"]

    def done(self, number: str) -> dict[str, Any]:
        """The record of a run, when it has ended."""
        return until(lambda: self.get(f"/history/{number}").get(number), 300)

    def run(self, graph: Graph) -> dict[str, Any]:
        return self.done(self.queue(graph))


def until(look: Callable[[], Any], seconds: float) -> Any:
    """What ``look`` returns as soon as it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """ComfyUI with folders of its own, into which ``pez comfy`` put the pack."""
    folder = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "input", "output", "models", "user", "temp"):
        (folder / name).mkdir()
    shutil.copy(ROOT / "data" / "samples" / "art" / "art-00.png", folder / "input" / "art.png")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_PROXY": "*"}
    pez = [sys.executable, "-m", "pez", "comfy", str(folder)]
    subprocess.run(pez, env=environment, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--cpu", "--listen", "127.0.0.1", "--port", str(port), "--disable-api-nodes"]
    flags += ["--base-directory", str(folder), "--database-url", "sqlite:///:memory:"]
    with open(folder / "log.txt", "w+") as log:
        command = [sys.executable, "main.py", *flags]
        process = subprocess.Popen(command, cwd=COMFYUI, env=environment, stdout=log, stderr=log)
        found = Server(f"http://127.0.0.1:{port}", folder)

        def is_up() -> bool:
            assert process.poll() is None, (folder / "log.txt").read_text()
            try:
                return bool(found.get("/system_stats"))
            except (URLError, ConnectionError):
                return False

        try:
            until(is_up, 300)
            yield found
        finally:
            process.terminate()
            process.wait(30)


SEARCH: dict[str, Any] = {
    "together": False, "length": 3, "style": "auto", "method": "pez", "steps": 5, "seed": 1,
    "keep": "", "ban": "", "template": "{}", "fluency": 0.0, "also_negative": False,
}  # fmt: skip


def graph(**changed: Any) -> Graph:
    """Load, search, show: as the page of ComfyUI sends it."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "art.png"}},
        "2": {
            "class_type": "PezModel",
            "inputs": {"model": "mini", "more_models": "", "dtype": "float32"},
        },
        "3": {
            "class_type": "PezInvert",
            "inputs": {"pez_model": ["2", 0], "images": ["1", 0], **SEARCH, **changed},
        },
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["3", 0]}},
        "5": {
            "class_type": "PezExplain",
            "inputs": {
                "pez_model": ["2", 0], "images": ["1", 0], "prompt": ["3", 0], "margin": 0.002
            },
        },
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }  # fmt: skip


def told(record: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a run's record says of an event."""
    return next((more for name, more in record["status"]["messages"] if name == kind), {})


def test_comfyui_knows_the_nodes_and_the_example(server: Server) -> None:
    info = server.get("/object_info")
    assert {"PezModel", "PezInvert", "PezDistil", "PezMix", "PezScore", "PezExplain"} <= set(info)
    assert info["PezInvert"]["output"] == ["STRING", "FLOAT", "STRING"]
    assert info["PezInvert"]["output_is_list"] == [True] * 3
    assert server.get("/workflow_templates")["pez"] == ["pez_invert"]
    for name, (inputs, outputs) in CORE.items():
        assert list(info[name]["output"]) == outputs, name
        every = info[name]["input"]["required"] | info[name]["input"].get("optional", {})
        assert {key: every[key][0] for key in inputs} == inputs, name


def test_a_picture_becomes_a_prompt_and_bars(server: Server) -> None:
    record = server.run(graph())
    assert record["status"]["status_str"] == "success", (server.folder / "log.txt").read_text()
    (prompt,) = record["outputs"]["4"]["text"]
    assert len(prompt.split()) >= 2
    (bars,) = record["outputs"]["6"]["images"]
    assert (server.folder / bars["type"] / bars["filename"]).stat().st_size > 1000
    again = server.run(graph())
    assert {"2", "3", "5"} <= set(told(again, "execution_cached")["nodes"]), "it searched again"
    other = server.run(graph(seed=2))
    cached = told(other, "execution_cached")["nodes"]
    assert "2" in cached and "3" not in cached


def test_cancel_ends_a_run_and_the_next_one_works(server: Server) -> None:
    number = server.queue(graph(steps=100_000, seed=3))
    until(lambda: server.get("/queue")["queue_running"], 60)
    time.sleep(3)  # it is searching
    begin = time.monotonic()
    server.post("/interrupt", {})
    record = server.done(number)
    assert time.monotonic() - begin < 20
    assert told(record, "execution_interrupted")["node_type"] == "PezInvert"
    assert not told(record, "execution_error")
    assert server.run(graph(seed=4))["status"]["status_str"] == "success"


def test_an_error_is_one_sentence(server: Server) -> None:
    record = server.run(graph(mask=["1", 1]))
    error = told(record, "execution_error")
    assert error["node_type"] == "PezInvert"
    assert error["exception_message"].strip().startswith("the mask covers nothing")
