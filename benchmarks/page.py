"""What the page of ``pez serve`` costs, and its pictures in the docs.

    python benchmarks/page.py first       # seconds to the page, to its model and to a first prompt
    python benchmarks/page.py memory      # memory over 200 searches in one server
    python benchmarks/page.py shots       # docs/page.png and docs/page-phone.png, in a Chromium

The figures go to benchmarks/page.json. The server is one of its own, offline, with the model of
photographs and the shipped photograph that the page begins with. Processor seconds and memory are
the server's with one thread, read from /proc, so that another load on the machine hardly counts;
Linux alone.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "page.json"
SEARCHES = 200
STEPS = 10  # of a search when memory is measured
SEEN = (1, 10, 20, 50, 100, 150, 200)  # searches after which memory is read
WIDE, PHONE = (1280, 900), (390, 1180)


class Server:
    """A running page: its process, and its buttons pressed without a browser."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address
        self.config: Any = json.loads(self.ask("GET", "/config"))
        self.ids = {c["props"].get("elem_id"): c["id"] for c in self.config["components"]}

    def ask(self, method: str, path: str, body: Any = None) -> str:
        """The text of an answer."""
        line = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=600)
        line.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
        text = line.getresponse().read().decode()
        line.close()
        return text

    def press(self, button: str, **values: Any) -> str:
        """Press a button with the values that the controls begin with, but for ``values`` by label;
        what the page said until that was done.
        """
        at = [self.ids[button], "click"]
        call = next(d for d in self.config["dependencies"] if at in d["targets"])
        props = {c["id"]: c["props"] for c in self.config["components"]}
        own = [props[i] for i in call["inputs"]]
        data = [values.get(str(one.get("label")), one.get("value")) for one in own]
        body = {"data": data, "fn_index": call["id"], "session_hash": "figures", "trigger_id": 1}
        self.ask("POST", "/gradio_api/queue/join", body)
        return self.ask("GET", "/gradio_api/queue/data?session_hash=figures")

    @property
    def processor(self) -> float:
        """Processor seconds so far."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000


@contextmanager
def serving(*flags: str) -> Iterator[Server]:
    """A page of its own, offline."""
    more = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_PROXY": "*"}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "pez", "serve", "--device", "cpu", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=os.environ | more,
        )
        try:
            assert process.stdout
            yield Server(process, process.stdout.readline().strip())
        finally:
            process.terminate()
            process.wait()


def first() -> dict[str, Any]:
    """Seconds from the command to the page, and from there to the first prompt; the model is loaded
    meanwhile.
    """
    begin = time.monotonic()
    with serving() as server:
        there, spent = time.monotonic() - begin, server.processor
        said = server.press("invert-find")
        assert 'data-pez=\\"prompt' in said, said[-500:]
        done, all_spent = time.monotonic() - begin, server.processor
    return {
        "page": {"seconds": round(there, 1), "processor_seconds": round(spent, 1)},
        "first_prompt": {"seconds": round(done, 1), "processor_seconds": round(all_spent, 1)},
        "load_of_the_machine": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def memory() -> dict[str, Any]:
    """Resident memory in MB after so many searches of a few steps."""
    found: dict[str, float] = {}
    with serving() as server:
        for n in range(1, SEARCHES + 1):
            said = server.press("invert-find", Steps=STEPS, Seed=n)
            assert 'data-pez=\\"prompt' in said, said[-500:]
            if n in SEEN:
                found[str(n)] = round(server.memory)
                print(n, found[str(n)], file=sys.stderr, flush=True)
    return {"steps": STEPS, "megabytes_after_searches": found}


def shots() -> None:
    """Pictures of the page with a found prompt: at the width of a desk, and of a phone."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from PIL import Image
    from served_page import Page

    with serving() as server, tempfile.TemporaryDirectory() as folder:
        for name, (wide, high) in (("page", WIDE), ("page-phone", PHONE)):
            page = Page(server.address, Path(folder), wide, high)
            try:
                page.click("#invert-find")
                page.one("#invert-board [data-pez=prompt]")
                page.click("#invert-board .pez-chip")
                page.one("#invert-board .pez-swaps button")
                page.browser.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
                if name == "page-phone":
                    page.browser.execute_script(
                        "document.querySelector('#invert-board').scrollIntoView({block: 'start'})"
                    )
                time.sleep(1)  # the last movement on the page
                page.shoot(name)
            finally:
                page.close()
            picture = Image.open(Path(folder) / f"{name}.png").convert("RGB")
            small = picture.quantize(256, dither=Image.Dither.NONE)
            small.save(ROOT / "docs" / f"{name}.png", optimize=True)


def main() -> None:
    """Measure what is asked for, beside what is known already."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("what", choices=("first", "memory", "shots"))
    what = parser.parse_args().what
    if what == "shots":
        shots()
        return
    measured = {"first": first, "memory": memory}[what]()
    known = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    FIGURES.write_text(json.dumps(known | {what: measured}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
