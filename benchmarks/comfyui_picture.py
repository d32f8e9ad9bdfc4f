"""The picture of the example workflow in docs/comfyui.md, by ComfyUI's own page in Chromium.

    python benchmarks/comfyui_picture.py http://127.0.0.1:8188 docs/comfyui.png

needs a running ComfyUI with the pack, Chromium and its driver, and selenium.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "pez" / "comfy" / "example_workflows" / "pez_invert.json"
SIZE = (1800, 1000)
# the graph alone: no menus, no dialogs of a first visit
CLEAN = """
const style = document.createElement("style");
style.textContent = ".p-dialog-mask, .p-toast, .side-tool-bar-container, .comfyui-body-top,"
  + ".comfyui-body-left, .p-buttongroup, .graph-canvas-menu {display: none !important}";
document.head.append(style);
"""
LOAD = """
const done = arguments[arguments.length - 1];
window.app.loadGraphData(JSON.parse(arguments[0])).then(() => {
  const canvas = window.app.canvas;
  canvas.ds.scale = 0.98;
  canvas.ds.offset = [110, 90];
  canvas.setDirty(true, true);
  done(window.app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type));
});
"""


def main() -> None:
    """Load the example in ComfyUI's page and photograph it."""
    address, place = sys.argv[1:3]
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={SIZE[0]},{SIZE[1]}")
    browser = webdriver.Chrome(options=options)
    browser.set_script_timeout(120)
    try:
        browser.get(address)
        ready = "return !!(window.app && window.app.graph && window.app.canvas)"
        WebDriverWait(browser, 240).until(lambda one: one.execute_script(ready))
        time.sleep(5)
        browser.execute_script(CLEAN)
        wrong = browser.execute_async_script(LOAD, EXAMPLE.read_text(encoding="utf-8"))
        print(json.dumps({"nodes with errors": wrong}))
        time.sleep(4)
        browser.save_screenshot(place)
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
