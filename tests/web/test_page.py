"""The page in a real Chromium: what a person does with it, at the width of a desk and of a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from common import ROOT
from served_page import NEEDS_BROWSER, Page, served

pytestmark = NEEDS_BROWSER
PROMPT, CHIP = "#invert-board [data-pez=prompt]", "#invert-board .pez-chip"
PHONE = 390


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("served"), "--model", "mini") as at:
        yield at


@pytest.fixture
def page(address: str, tmp_path: Path) -> Iterator[Page]:
    opened = Page(address, tmp_path, 1280, 1000)
    yield opened
    opened.close()


@pytest.fixture
def phone(address: str, tmp_path: Path) -> Iterator[Page]:
    opened = Page(address, tmp_path, PHONE, 844)
    yield opened
    opened.close()


def words(page: Page) -> list[str]:
    return [chip.text.replace("🔒", "").strip() for chip in page.all(CHIP)]


def test_a_person_finds_locks_bans_goes_on_and_comes_back(page: Page, address: str) -> None:
    page.click("#invert-find")
    first = page.text(PROMPT)
    page.shoot("found")
    assert ", ".join(words(page)) == first
    assert page.all("#invert-board .pez-plot"), "the score over the steps"

    lock, ban = words(page)[:2]
    page.click(CHIP, lock)
    page.shoot("menu")
    page.one("#invert-board .pez-swaps button")
    page.click("#invert-board button", "Lock")
    page.one("#invert-board .pez-chip.locked", lock)
    page.click(CHIP, ban)
    page.click("#invert-board button", "Ban")
    page.one("#invert-board .pez-chip.banned", ban)
    page.click("#invert-on")
    page.until(lambda: page.all(CHIP) and ban not in words(page))
    assert lock == words(page)[0], "a locked word stays where it is"
    assert len(words(page)) == len(first.split(", "))
    page.shoot("went-on")

    page.click(CHIP, words(page)[-1])
    swap = page.one("#invert-board .pez-swaps button")
    new = swap.text.split()[0]
    swap.click()
    page.until(lambda: words(page)[-1:] == [new])
    assert "changed by hand" in page.text("#invert-board .pez-facts")

    page.browser.refresh()
    page.click("#history button")
    assert first in page.text("#history-list")
    page.shoot("history")
    assert page.hosts() == {address.split("/")[2]}, "nothing is asked of another host"


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
