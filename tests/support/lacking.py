"""File systems that lack something, lie about it, or take two names for one: calls to the system, replaced."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest

NAMED = ("stat", "open", "unlink")
RENAMING = ("link", "rename", "replace")


def refuse(monkeypatch: pytest.MonkeyPatch, module: Any, call: str, number: int) -> list[str]:
    """Let every such call fail; the result is grown by one for each."""
    made: list[str] = []

    def fail(*_: object, **__: object) -> None:
        made.append(call)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, call, fail)
    return made


def see_names(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str, int], str]) -> None:
    """Let the system see every name in a folder as `seen(name, folder)`."""
    for call in NAMED:
        monkeypatch.setattr(os, call, _seeing_one(getattr(os, call), seen))
    for call in RENAMING:
        monkeypatch.setattr(os, call, _seeing_two(getattr(os, call), seen))
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: lstat(_seen_at(path, seen)))


def _seeing_one(really: Callable[..., Any], seen: Callable[[str, int], str]) -> Callable[..., Any]:
    def call(name: Any, *arguments: Any, dir_fd: int | None = None, **named: Any) -> Any:
        if dir_fd is None or not isinstance(name, str):
            return really(name, *arguments, dir_fd=dir_fd, **named)
        return really(seen(name, dir_fd), *arguments, dir_fd=dir_fd, **named)

    return call


def _seeing_two(really: Callable[..., Any], seen: Callable[[str, int], str]) -> Callable[..., Any]:
    def call(old: str, new: str, *, dst_dir_fd: int, src_dir_fd: int | None = None, **named: Any) -> Any:
        if src_dir_fd is None:  # a file that has no name yet
            return really(old, seen(new, dst_dir_fd), dst_dir_fd=dst_dir_fd, **named)
        return really(
            seen(old, src_dir_fd), seen(new, dst_dir_fd), src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **named
        )

    return call


def _seen_at(path: str, seen: Callable[[str, int], str]) -> str:
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return os.path.join(folder, seen(name, descriptor))
    finally:
        os.close(descriptor)


def folding(fold: Callable[[str], str]) -> Callable[[str, int], str]:
    """What takes all names for one that are equal when folded, and keeps how the first was written."""

    def seen(name: str, folder: int) -> str:
        return next((each for each in os.listdir(folder) if fold(each) == fold(name)), name)

    return seen


def at_most(count: int) -> Callable[[str, int], str]:
    """What takes no name of more than `count` bytes."""

    def seen(name: str, _: int) -> str:
        if len(os.fsencode(name)) > count:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return name

    return seen


class Inodes:
    """Looks at files whose `field` is what `choose` says, whatever the file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, field: int, choose: Callable[[], int]) -> None:
        for call in ("stat", "fstat", "lstat"):
            monkeypatch.setattr(os, call, self._lying(getattr(os, call)))
        self._field = field
        self._choose = choose

    def _lying(self, really: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def call(*arguments: Any, **named: Any) -> os.stat_result:
            status, (kept, more) = really(*arguments, **named), (None, None)
            kept, more = status.__reduce__()[1]
            return os.stat_result((*kept[: self._field], self._choose(), *kept[self._field + 1 :]), more)

        return call
