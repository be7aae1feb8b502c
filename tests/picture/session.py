"""What is typed for the picture, and the moment in which it is taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.picture.shelf import FIRST, LARGE
from tests.support.processes import client_command
from tests.support.terminals import CTRL_C, CTRL_D, ENTER, PROMPT, TAB
from tests.support.windows import Window

_SHELL = r"\n\$\s*\Z"
_ROWS = 32


@contextmanager
def _shell(folder: Path) -> Iterator[Window]:
    programs = os.path.dirname(client_command()[0])
    around = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PS1": "$ ", "ENV": "", "NO_COLOR": ""}
    with Window("sh", "-i", folder=folder, rows=_ROWS, LC_ALL="C.UTF-8", TZ="UTC", **around) as window:
        window.see(r"\$")
        yield window


@contextmanager
def at_its_best(port: int, folder: Path) -> Iterator[pyte.Screen]:
    """The screen of somebody in `folder` who talks to the server at `port`: a download is under way, the menu open."""
    with _shell(folder) as window:
        window.type(f"chatfile-client -s 127.0.0.1:{port}{ENTER}")
        window.see(PROMPT)
        _talk(window)
        yield window.cells
        _leave(window)


def _talk(window: Window) -> None:
    for line, answer in (("list", "6 files, "), ("get *.csv", "2 files, "), ("status", r"\(you\)")):
        window.type(line + ENTER)
        window.see(rf"{answer}[\s\S]*{PROMPT}\s*$")
    for keys, answer in (
        (f"get disk{TAB}{ENTER}", rf"{LARGE}  \d+ %"),
        (f"is anybody there?{ENTER}", rf"waits until[\s\S]*{PROMPT}"),
        (f"get {TAB}", rf"get\n *{FIRST}"),
        (TAB, rf"get {FIRST}[\s\S]*{LARGE}  [1-9]\d % .* left"),
    ):
        window.type(keys)
        window.see(answer)


def _leave(window: Window) -> None:
    """The download is given up, and the shell left."""
    window.type(CTRL_C)
    window.type(CTRL_D)
    window.see(r"\(y/N\)")
    window.type(f"y{ENTER}")
    window.see(_SHELL)
    window.type(CTRL_D)
    window.ended()
