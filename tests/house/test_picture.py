"""The picture of the prompt in the README: it stands on its own, and is of the prompt as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pyte
import pytest

from chatfile.cli.commands import GetFiles, ListFiles, SendMessage, ShowStatus
from chatfile.cli.lines import parse_line
from tests.picture import svg
from tests.picture.__main__ import PICTURE
from tests.support import ROOT

LARGEST = 30_000
NAMESPACE = "http://www.w3.org/2000/svg"


def texts(picture: str) -> list[ET.Element]:
    return list(ET.fromstring(picture).iter(f"{{{NAMESPACE}}}text"))


def typed(picture: str) -> list[str]:
    """Behind each prompt."""
    return [text.removeprefix("> ") for element in texts(picture) if (text := element.text or "").startswith("> ")]


def assert_stands_on_its_own(picture: str, largest: int = LARGEST) -> None:
    assert ET.fromstring(picture).tag == f"{{{NAMESPACE}}}svg"
    assert len(picture.encode()) < largest
    assert not re.search(r"https?:|href|url\(|@import|@font-face|<script|<image", picture.replace(NAMESPACE, ""))


def shown(text: str) -> str:
    screen = pyte.Screen(20, 2)
    pyte.Stream(screen).feed(text)
    return svg.drawn(screen, "title")


def test_the_picture_stands_on_its_own() -> None:
    assert_stands_on_its_own(PICTURE.read_text())


def test_what_is_typed_in_it_is_still_understood_like_that() -> None:
    asked = [type(parse_line(line)) for line in typed(PICTURE.read_text())]
    assert asked == [ListFiles, GetFiles, ShowStatus, GetFiles, SendMessage, GetFiles]


@pytest.mark.slow
def test_it_can_be_recorded_anew(tmp_path: Path) -> None:
    anew = tmp_path / "prompt.svg"
    command = [sys.executable, "-m", "tests.picture", "--port=0", anew]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert_stands_on_its_own(anew.read_text())
    assert typed(anew.read_text()) == typed(PICTURE.read_text())


def test_each_column_has_a_place_of_its_own() -> None:
    words = texts(shown("one two   three"))[1:]
    assert [(word.text, word.get("x"), word.get("textLength")) for word in words] == [
        ("one two", "0", f"{7 * svg.CELL}"),
        ("three", f"{10 * svg.CELL}", f"{5 * svg.CELL}"),
    ]


def test_a_wide_character_takes_two_columns() -> None:
    wide, narrow = texts(shown("日本x"))[1:]
    assert wide.text == "日本"
    first, second = map(float, (wide.get("x") or "").split())
    assert (second - first, narrow.get("x")) == (2 * svg.CELL, f"{4 * svg.CELL}")


def test_colours_are_those_of_the_terminal() -> None:
    plain, green, reverse = texts(shown("a\x1b[1;32mb\x1b[0;7mc"))[1:]
    assert plain.get("fill") is None
    assert (green.get("fill"), green.get("font-weight")) == (svg.PALETTE["green"], "bold")
    assert reverse.get("fill") == svg.BACKGROUND


def test_markup_on_the_screen_is_text() -> None:
    assert texts(shown("<b>&amp;"))[1].text == "<b>&amp;"
