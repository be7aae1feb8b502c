"""Any name: what may be served, saved or shown stays in its folder and on its line."""

from __future__ import annotations

import contextlib
import os
from unicodedata import category

from chatfile import errors, wire
from chatfile.partfile.names import beside
from chatfile.wire import is_servable, is_servable_path

LONGEST_NAME = 255


def check(data: bytes) -> None:
    """Raise for what must never become of a name."""
    name = os.fsdecode(data)
    _check_served(name)
    _check_path(name)
    _check_saved(name)
    _check_shown(name)


def _check_served(name: str) -> None:
    if not is_servable(name):
        return
    assert os.path.basename(name) == name
    assert name.splitlines() == [name]
    assert not name.startswith(".")
    with contextlib.suppress(errors.LineTooLong, errors.BadLine):
        assert wire.parse_request(wire.format_request(wire.Get(name))) == wire.Get(name)
    row = wire.FileRow(1, 0, name)
    assert wire.parse_reply(wire.format_reply(row), wire.FileRow) == row


def _check_path(path: str) -> None:
    if not is_servable_path(path):
        assert "/" in path or not is_servable(path) or len(path.encode()) > wire.MAX_PATH
        return
    assert all(map(is_servable, path.split("/")))
    assert os.path.normpath(os.path.join("/folder", path)) == "/folder/" + path
    for request in (wire.Get(path), wire.Resume(wire.MAX_NUMBER, path), wire.Tree(path)):
        assert wire.parse_request(wire.format_request(request)) == request
    wire.TreeOrder("").check(wire.parse_in_tree(wire.format_reply(wire.FileRow(1, 0, path))))


def _check_saved(name: str) -> None:
    try:
        wire.check_name(name)
    except errors.BadName:
        return
    for local in (name, beside(name, ".part")):
        assert os.path.normpath(os.path.join("/folder", local)) == "/folder/" + local
    assert len(os.fsencode(beside(name, ".part"))) <= LONGEST_NAME


def _check_shown(name: str) -> None:
    shown = wire.printable(name)
    assert len(shown.splitlines()) == bool(shown)
    assert all(category(character) not in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert wire.printable(shown) == shown
