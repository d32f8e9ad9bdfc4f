"""A served page, and a browser that looks at it, for tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from common import ROOT

HAS_GRADIO = util.find_spec("gradio") is not None
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
DRIVER = shutil.which("chromedriver") or ""
NEEDS_GRADIO = pytest.mark.skipif(not HAS_GRADIO, reason="the extra web is not installed")
NEEDS_BROWSER = pytest.mark.skipif(
    not (HAS_GRADIO and CHROMIUM and DRIVER and util.find_spec("selenium")),
    reason="Chromium, its driver, selenium or gradio is not installed",
)


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[str]:
    """The address of a page that another process serves, with ``folder`` as its working folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
    environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "NO_PROXY": "*"}
    with open(folder / "log.txt", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pez", "serve", "--device", "cpu", *flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env=environment,
            # a shell's background jobs ignore Ctrl-C, and so would their children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            log.seek(0)
            assert address.startswith("http"), log.read()
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert not list(folder.glob("pez-page-*")), "what visitors sent is gone with the server"


class Page:
    """A page in a real browser."""

    def __init__(self, address: str, shots: Path, wide: int, high: int) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = CHROMIUM
        flags = ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "no-first-run")
        flags += ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
        for flag in (*flags, "disable-background-networking", f"window-size={wide},{high}"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.browser = webdriver.Chrome(options=options, service=Service(DRIVER))
        if wide < 500:  # narrower than a window may be
            metrics = {"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": True}
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.shots = shots
        self.browser.get(address)

    def close(self) -> None:
        """End the browser."""
        self.browser.quit()

    def all(self, css: str) -> list[Any]:
        """The visible elements of a selector."""
        return [
            one for one in self.browser.find_elements("css selector", css) if one.is_displayed()
        ]

    def until(self, true: Callable[[], Any], seconds: float = 180) -> Any:
        """What ``true`` returns as soon as that is something."""
        from selenium.common.exceptions import StaleElementReferenceException as Stale
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.browser, seconds, 0.1, ignored_exceptions=[Stale])
        try:
            return wait.until(lambda _: true())
        except Exception:
            self.shoot("failed")
            raise

    def one(self, css: str, text: str = "") -> Any:
        """The first visible element of a selector, with a text, as soon as it is there."""
        return self.until(
            lambda: next((one for one in self.all(css) if text in (one.text or "")), None)
        )

    def click(self, css: str, text: str = "") -> None:
        """Click an element as soon as that is possible."""

        def done() -> bool:
            found = self.one(css, text)
            if not found.is_enabled():
                return False
            self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
            found.click()
            return True

        self.until(done)

    def drag(self, element: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw with the mouse on an element, in pixels from its middle."""
        from selenium.webdriver import ActionChains

        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        pen = ActionChains(self.browser).move_to_element_with_offset(element, *start)
        pen.click_and_hold().move_to_element_with_offset(element, *end).release().perform()

    def text(self, css: str) -> str:
        """The text of an element."""
        return self.one(css).text

    def shoot(self, name: str) -> None:
        """A picture of what the browser shows."""
        self.browser.save_screenshot(str(self.shots / f"{name}.png"))

    def hosts(self) -> set[str]:
        """The hosts that the page asked for anything so far."""
        found = set()
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                if address.startswith(("http", "ws")):
                    found.add(address.split("/")[2])
        return found
