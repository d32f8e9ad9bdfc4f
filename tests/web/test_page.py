"""The served page: what strangers get from it, and what a person does with it in a real Chromium,
at the width of a desk and of a phone.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from common import ROOT
from readable import AUDIT
from served_page import NEEDS_BROWSER, NEEDS_GRADIO, Page, served

pytestmark = NEEDS_GRADIO
PROMPT, CHIP = "#invert-board [data-pez=prompt]", "#invert-board .pez-chip"
PHONE = 390


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(folder, "--model", "mini") as at:
        yield at


def ask(
    address: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and text of an answer; the path is sent as it is."""
    at = urlsplit(address)
    line = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
    line.request("POST" if body is not None else "GET", path, body, headers or {})
    answer = line.getresponse()
    text = answer.read().decode("utf-8", "replace")
    line.close()
    return answer.status, text


def test_no_file_of_the_machine_is_served(address: str, folder: Path) -> None:
    names = ["/etc/passwd", "../../../../etc/passwd", f"{ROOT}/README.md", f"{folder}/log.txt"]
    names += ["pyproject.toml", f"{ROOT}/pez/web/../../README.md", "https://127.0.0.1/etc"]
    for name in names:
        for path in (name, quote(name), quote(quote(name)), name.replace("..", "%2e%2e")):
            for route in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/"):
                status, text = ask(address, route + path)
                assert status in (403, 404, 405, 422), (route, path)
                assert "root:" not in text and "Install" not in text
    for path in ("/monitoring", "/docs", "/gradio_api/proxy=http://127.0.0.1/", "/openapi.json"):
        assert ask(address, path)[0] == 404


def test_a_path_is_no_picture(address: str) -> None:
    config = json.loads(ask(address, "/config")[1])
    ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
    press = next(d for d in config["dependencies"] if [ids["invert-find"], "click"] in d["targets"])
    picture = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    data: list[Any] = [None, [], [{"image": picture, "caption": None}], "one prompt each"]
    data += ["mini", "", 7, 0, 0, 1, 0]
    assert len(data) == len(press["inputs"])
    call = {"data": data, "fn_index": press["id"], "session_hash": "a1", "trigger_id": 1}
    kind = {"content-type": "application/json"}
    assert ask(address, "/gradio_api/queue/join", json.dumps(call).encode(), kind)[0] == 200
    _, said = ask(address, "/gradio_api/queue/data?session_hash=a1")
    assert '"success":false' in said and "root:" not in said


def test_other_names_of_the_machine_and_large_files_are_refused(address: str) -> None:
    assert ask(address, "/", headers={"Host": "evil.example"})[0] == 404
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body += bytes(33_000_000) + b"\r\n--b--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert ask(address, "/gradio_api/upload", body, kind)[0] == 413


def test_the_page_names_no_other_host_to_load_from(address: str) -> None:
    _, html = ask(address, "/")
    styles = ask(address, "/theme.css")[1] + html
    loaded = re.findall(r"<(?:script|img|iframe)[^>]*src=[\"']([^\"']+)", html)
    loaded += re.findall(r"<link[^>]*href=[\"']([^\"']+)", html)
    loaded += re.findall(r"url\([\"']?([^)\"']+)", styles) + re.findall(r"@import[^;]+", styles)
    assert loaded
    assert [one for one in loaded if "//" in one and not one.startswith(("data:", address))] == []
    config = json.loads(ask(address, "/config")[1])
    assert not config["analytics_enabled"] and not config.get("footer_links")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_page_with_a_password_at_an_address_of_ipv6(tmp_path: Path) -> None:
    word = "eight or more"
    with served(tmp_path, "--model", "mini", "--host", "::1", "--password", word) as at:
        assert at.startswith("http://[::1]:")
        assert "auth_required" in ask(at, "/")[1]
        for path in ("/config", "/gradio_api/queue/data?session_hash=a"):
            assert ask(at, path)[0] == 401, path
        kind = {"content-type": "application/x-www-form-urlencoded"}
        wrong = ask(at, "/login", b"username=me&password=eight+or+less", kind)
        assert wrong[0] == 400
        body = urlencode({"username": "me", "password": word}).encode()
        line = http.client.HTTPConnection("::1", urlsplit(at).port, timeout=60)
        line.request("POST", "/login", body, kind)
        answer = line.getresponse()
        answer.read()
        assert answer.status == 200
        cookies = [v.partition(";")[0] for k, v in answer.getheaders() if k == "set-cookie"]
        assert ask(at, "/config", headers={"Cookie": "; ".join(cookies)})[0] == 200


@pytest.fixture(scope="module")
def browser(address: str, folder: Path) -> Iterator[Page]:
    opened = Page(address, folder, 1280, 1000)
    yield opened
    opened.close()


@pytest.fixture
def page(browser: Page, address: str) -> Page:
    """The page as a new visitor sees it."""
    browser.browser.execute_script("localStorage.clear()")
    browser.browser.get(address)
    return browser


@pytest.fixture
def phone(address: str, tmp_path: Path) -> Iterator[Page]:
    opened = Page(address, tmp_path, PHONE, 844)
    yield opened
    opened.close()


def words(page: Page) -> list[str]:
    return [chip.text.replace("🔒", "").strip() for chip in page.all(CHIP)]


def settled(page: Page) -> None:
    """Wait until no search runs and the board has its words."""
    page.until(
        lambda: (
            not page.all("#invert-board .pez-menu, #invert-board [data-pez=live]")
            and not page.one("#invert-stop").is_enabled()
            and page.all(CHIP)
        )
    )


@NEEDS_BROWSER
def test_a_person_finds_locks_bans_goes_on_and_comes_back(page: Page, address: str) -> None:
    page.click("#invert-find")
    first = page.text(PROMPT)
    page.shoot("found")
    assert ", ".join(words(page)) == first
    assert page.all("#invert-board .pez-plot"), "the score over the steps"

    lock, ban = words(page)[:2]
    page.click(CHIP, lock)
    page.one("#invert-board .pez-swaps button")
    page.shoot("menu")
    page.click("#invert-board button", "Lock")
    settled(page)  # the search goes on by itself
    assert page.one("#invert-board .pez-chip.locked", lock) and words(page)[0] == lock
    page.click(CHIP, ban)
    page.click("#invert-board button", "Ban")
    page.until(lambda: (now := words(page)) and ban not in now)
    assert words(page)[0] == lock, "a locked word stays where it is"
    assert len(words(page)) == len(first.split(", "))
    page.shoot("went-on")

    page.click("#invert-itself input")
    page.click(CHIP, words(page)[-1])
    swap = page.one("#invert-board .pez-swaps button")
    new = swap.text.split()[0]
    swap.click()
    page.until(lambda: words(page)[-1:] == [new])
    settled(page)
    assert "changed by hand" in page.text("#invert-board .pez-facts")

    page.click("#invert-draw")
    page.until(lambda: "resembles the original by" in page.text("#generate-status"))
    assert page.all("#generate-drawn .caption-label")[0].text == "original"
    page.shoot("drawn")

    page.browser.refresh()
    page.click("#history button")
    assert first in page.text("#history-list")
    page.shoot("history")
    assert page.hosts() == {address.split("/")[2]}, "nothing is asked of another host"


@NEEDS_BROWSER
def test_a_picture_of_ones_own_and_an_error_that_is_a_sentence(page: Page, tmp_path: Path) -> None:
    own = ROOT / "data" / "samples" / "web" / "web-00.png"
    page.one("#invert-find")
    page.click("#invert-pictures button[aria-label=Clear]")
    page.click("#invert-find")
    assert "no picture yet" in page.text("#invert-board .pez-error")
    page.shoot("error")
    false = tmp_path / "false.png"
    false.write_text("<svg onload=alert(1)>")
    file = page.until(
        lambda: page.browser.find_elements("css selector", "#invert-pictures input[type=file]")
    )
    file[0].send_keys(str(false))
    page.one("#invert-pictures button[aria-label=Clear]")
    page.click("#invert-find")
    page.until(lambda: "not a picture" in page.text("#invert-board .pez-error"))
    page.click("#invert-pictures button[aria-label=Clear]")
    file = page.until(
        lambda: page.browser.find_elements("css selector", "#invert-pictures input[type=file]")
    )
    file[0].send_keys(str(own))
    page.one("#invert-pictures img")
    page.click("#invert-find")
    assert page.text(PROMPT)


PASTE = """
const canvas = document.createElement("canvas");
canvas.getContext("2d").fillRect(0, 0, 9, 9);
canvas.toBlob((blob) => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([blob], "pasted.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
});
"""


@NEEDS_BROWSER
def test_pictures_are_pasted_and_taken(page: Page) -> None:
    thumbnails = "#invert-pictures .thumbnail-item"
    page.one(thumbnails)
    page.click("#invert-pictures button[aria-label=Clear]")
    page.until(lambda: not page.all(thumbnails))
    page.browser.execute_script(PASTE)
    page.until(lambda: len(page.all(thumbnails)) == 1)
    page.click("#invert-pictures button[aria-label='Take a picture']")
    page.click("#invert-pictures button", "Click to Access Webcam")
    page.click("#invert-pictures button[aria-label='capture photo']")
    page.until(lambda: len(page.all(thumbnails)) == 2)


@NEEDS_BROWSER
def test_a_phone_shows_all_without_scrolling_sideways_and_a_search_stops(phone: Page) -> None:
    phone.click("#invert-more button")
    steps = phone.one("#invert-more input[type=number]")
    steps.clear()
    steps.send_keys("500\t")
    phone.click("#invert-find")
    phone.one("#invert-board [data-pez=live]")
    phone.until(lambda: "step" in phone.text("#invert-board .pez-facts"))
    phone.click("#invert-stop")
    assert phone.text(PROMPT)
    assert "stopped early" in phone.text("#invert-board .pez-facts")
    phone.click(CHIP)
    phone.one("#invert-board .pez-menu")
    phone.shoot("phone")
    wide = phone.browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= PHONE


@NEEDS_BROWSER
def test_the_other_tabs_distil_mix_explore_and_draw(page: Page) -> None:
    page.click("button[role=tab]", "Distil")
    page.click("#distil-find")
    prompt = page.text("#distil-board [data-pez=prompt]")
    page.shoot("distil")
    page.click("#distil-draw")  # opens the tab Generate and draws
    page.until(lambda: page.all("#generate-drawn img"))
    assert page.one("#generate-prompt textarea").get_attribute("value") == prompt
    page.click("button[role=tab]", "Mix")
    page.click("#mix-find")
    assert page.text("#mix-board [data-pez=prompt]")
    page.shoot("mix")
    page.click("button[role=tab]", "Explore")
    page.click("#explore-near")
    assert len(page.until(lambda: page.all("#explore-neighbours tbody tr"))) == 20
    page.click("#explore-split")
    assert "4 tokens" in page.text("#explore-tokens")
    page.click("#explore-rate")
    assert len(page.until(lambda: page.all("#explore-scores tbody tr"))) == 2
    page.shoot("explore")


@NEEDS_BROWSER
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_control_has_a_name_and_every_text_contrast(
    page: Page, address: str, theme: str
) -> None:
    page.browser.get(f"{address}?__theme={theme}")
    if theme == "light":
        page.click("#invert-find")
        page.click(CHIP)
        page.one("#invert-board .pez-swaps button")
    for tab in ("Invert", "Distil", "Mix", "Generate", "Explore"):
        page.click("button[role=tab]", tab)
        for closed in page.all("button.label-wrap:not(.open)"):
            closed.click()
        assert page.browser.execute_script(AUDIT) == [], tab


@NEEDS_BROWSER
def test_words_are_reached_with_the_keyboard_alone(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.one("#invert-find").send_keys(Keys.ENTER)
    page.one(PROMPT)
    settled(page)
    page.all(CHIP)[0].send_keys(Keys.ENTER)
    page.one("#invert-board .pez-menu")
    page.all(CHIP)[0].send_keys(Keys.ESCAPE)
    page.until(lambda: not page.all("#invert-board .pez-menu"))


@NEEDS_BROWSER
def test_a_drawing_stops_changes_goes_on_and_is_painted_over(page: Page) -> None:
    page.click("button[role=tab]", "Generate")
    page.click("#generate-more button")
    steps = page.one("#generate-steps input[type=number]")
    steps.clear()
    steps.send_keys("100\t")
    page.click("#generate-draw")
    page.one("#generate-status .pez-previews img")
    page.click("#generate-stop")
    page.until(lambda: "Stopped after" in page.text("#generate-status"))
    page.shoot("stopped")
    prompt = page.one("#generate-prompt textarea")
    prompt.clear()
    prompt.send_keys("a photo of a red fish")
    page.click("#generate-on")
    page.until(
        lambda: page.all("#generate-drawn img") and not page.all("#generate-status progress")
    )
    assert "the prompt “a photo of a red fish”" in page.text("#generate-status")
    page.shoot("generate")

    page.click("#generate-use button")
    page.click("#generate-take")
    page.one("#generate-picture img")
    page.click("#generate-what label", "redraw")
    sheet = page.one("#generate-pad canvas")
    page.drag(sheet, (-60, -60), (60, 60))
    page.shoot("painted")
    page.click("#generate-draw")
    page.until(lambda: len(page.all("#generate-drawn .grid-container img")) == 2)
    assert not page.all("#generate-status .pez-error")
    page.shoot("redrawn")
