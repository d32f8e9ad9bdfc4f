"""What the tests of the command line share."""

from __future__ import annotations

import pytest

QUICK = ["--model", "mini", "--device", "cpu", "--steps", "20", "--length", "4"]
CAPTURE = pytest.CaptureFixture[str]


def lines(text: str) -> list[str]:
    return text.split("\n")[:-1]
