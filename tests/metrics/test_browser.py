"""The page in a real browser: narrow and wide, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chromium import Chromium
from tests.support.processes import ServerProcess

pytestmark = pytest.mark.slow  # a browser takes some seconds to start

GROUND = {"light": "rgb(246, 247, 249)", "dark": "rgb(15, 19, 24)"}
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
CUT = """
[...document.querySelectorAll('section, h1, h2, dt, dd, td, th, p, figcaption')]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.outerHTML)
"""
COLOUR = "getComputedStyle(document.body).backgroundColor"
CURVE = "getComputedStyle(document.querySelector('polyline')).stroke"


def test_it_is_seen_whole_in_any_window_by_day_and_by_night(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a").write_bytes(b"x" * 100_000)
    with ServerProcess(tmp_path / "served", "--metrics=0", "--waiting=3") as server:
        url = "http://" + server.log_until(r"Metrics at (\S+)")
        for _ in range(3):
            assert server.greeted().ask(b"get a").startswith(b"FILE ")
        assert server.connect().line().startswith(b"ERROR full ")
        with Chromium(tmp_path / "profile") as browser:
            browser.open_until(url, "document.querySelector('polyline') !== null")
            pictures = {look(browser, url, width, scheme) for width in (1280, 360) for scheme in GROUND}
            assert len(pictures) == 4
            assert browser.value("document.title") == "chatfile"
            assert browser.value("document.querySelectorAll('.people tbody tr').length") == 3


def look(browser: Chromium, url: str, width: int, scheme: str) -> bytes:
    """The page as it is shown, which is all right."""
    browser.show_as(width, scheme)
    browser.open(url)
    assert browser.complaints() == []
    assert browser.value(TOO_WIDE) <= 0
    assert browser.value(CUT) == []
    assert browser.value(COLOUR) == GROUND[scheme], "the style is not allowed"
    assert browser.value(CURVE).startswith("rgb")
    return browser.picture()
