"""A seam between some modules and the system: their calls pass through it, and some of them can be made to fail."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

_HARMLESS = {"fsencode", "fsdecode", "fspath", "strerror", "register"}
_SHORTER: dict[str, Callable[..., tuple[Any, ...]]] = {
    "read": lambda descriptor, count: (descriptor, _less(count)),
    "pread": lambda descriptor, count, offset: (descriptor, _less(count), offset),
    "preadv": lambda descriptor, buffers, *rest: (descriptor, [buffers[0][: _less(len(buffers[0]))]], *rest),
    "write": lambda descriptor, data: (descriptor, data[: _less(len(data))]),
    "pwrite": lambda descriptor, data, offset: (descriptor, data[: _less(len(data))], offset),
    "sendfile": lambda out, descriptor, offset, count: (out, descriptor, offset, _less(count)),
    "splice": lambda source, target, count: (source, target, _less(count)),
}
_NOTHING: dict[str, Any] = {
    "read": b"",
    "pread": b"",
    "preadv": 0,
    "sendfile": 0,
    "splice": 0,
    "write": 0,  # as some file systems have it where there is no space
    "pwrite": 0,
}
_MOST = 5_000
"""Calls between a fault and its end, above which it is sure that there is no end; no step makes a tenth of these."""


class EndlessError(Exception):
    """Raised from a call that was made again and again."""


def _less(count: int) -> int:
    return max(count // 2, 1)


class Seam:
    """What passes from some modules to the system."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        """The names of all calls so far."""
        self.struck: list[str] = []
        """The names of the calls that were made to fail, in their order."""
        self._lock = threading.Lock()
        self._coming: list[tuple[Fault, int]] = []
        self._stays = False
        self._calls = 0

    def install(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        """From now on `modules` see the system through here."""
        for module in modules:
            for name in ("os", "fcntl", "select"):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, _System(self, getattr(module, name)))

    def strike(self, fault: Fault, after: int, *, then: Sequence[tuple[Fault, int]] = (), stays: bool = False) -> None:
        """Let one call fail, the first behind `after` others that could have failed in the same way.

        `then` are further faults, each with the number of such calls behind the one before. The last one `stays`
        until `rest`, or happens once as the others do.
        """
        self._coming, self._stays, self.struck, self._calls = [(fault, after), *then], stays, [], 0

    def rest(self) -> None:
        """Let no call fail any more."""
        self._coming = []

    def call(self, name: str, really: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        fault = self._fault_of(name)
        if fault is None:
            return really(*arguments, **named)
        return fault.happen(name, really, *arguments, **named)

    def _fault_of(self, name: str) -> Fault | None:
        with self._lock:
            self.seen.add(name)
            self._calls += 1
            if not self._coming:
                return None
            fault, left = self._coming[0]
            if not fault.fits(name):
                return None
            if self._calls > _MOST:
                raise EndlessError(name)
            self._coming[0] = fault, left - 1
            if left > 0:
                return None
            if not self._stays or len(self._coming) > 1:
                del self._coming[0]
            self.struck.append(name)
            return fault


class _System:
    """An object of the system's, of which every method can fail: a module, or what a call gave."""

    def __init__(self, seam: Seam, really: Any, whose: str = "") -> None:
        self._seam = seam
        self._really = really
        self._whose = whose

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._really, name)
        if name in _HARMLESS or isinstance(found, type) or not callable(found):
            return found
        if found is select.poll:
            return lambda: _System(self._seam, found())

        def call(*arguments: Any, **named: Any) -> Any:
            result = self._seam.call(self._whose + name, found, *arguments, **named)
            return _Scan(self._seam, result) if name == "scandir" else result

        return call


class _Scan(_System):
    """What `scandir` gave: the next entry can fail, and so can what is asked of it."""

    def __enter__(self) -> _Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self._really.close()

    def __iter__(self) -> Iterator[Any]:
        while (entry := self._seam.call("scandir's next", next, self._really, None)) is not None:
            yield _System(self._seam, entry, "entry's ")


@dataclass(frozen=True)
class Fault:
    """What happens to one call instead of what should, and to which calls it can happen."""

    what: str
    happen: Callable[..., Any]
    fits: Callable[[str], bool]

    def __str__(self) -> str:
        return self.what


def refused(number: int, *names: str) -> Fault:
    """It is not done, but fails; it is one of `names`, or any call."""

    def happen(name: str, really: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if name == "close":
            really(*arguments)  # close(2): the descriptor is gone all the same
        raise OSError(number, os.strerror(number))

    return Fault(os.strerror(number), happen, lambda name: not names or name in names)


def done_but_refused(number: int, *names: str) -> Fault:
    """It is done, and yet fails: over a network the answer can be lost."""

    def happen(_: str, really: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        really(*arguments, **named)
        raise OSError(number, os.strerror(number))

    return Fault(f"done, but {os.strerror(number)}", happen, lambda name: name in names)


def _short(name: str, really: Callable[..., Any], *arguments: Any) -> Any:
    return really(*_SHORTER[name](*arguments))


def _nothing(name: str, *_: object) -> Any:
    return _NOTHING[name]


SHORT = Fault("short", _short, _SHORTER.__contains__)
"""It moves half of what it was asked to move."""
NOTHING = Fault("nothing", _nothing, _NOTHING.__contains__)
"""It says that there is no more, or nothing."""
