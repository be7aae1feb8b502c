"""What a test must not leave behind: seats, timers, descriptors, processes."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_RESERVED = "/dev/null"
"""Twisted keeps one from its first listening port on, to have a descriptor to spare when accept finds none."""
_PATIENCE = 2.0
"""Seconds for which a thread may still have something to close."""
_kept = {_RESERVED}
_ends: list[Callable[[], None]] = []


def keep(descriptor: int) -> None:
    """Leave an open descriptor alone, which is for the tests behind this one, too."""
    _kept.add(open_descriptors("self").get(str(descriptor), _RESERVED))


def at_end(end: Callable[[], None]) -> None:
    """Call `end` when the test is over: it ends what still goes on, and asserts that nothing is left of it."""
    _ends.append(end)


@contextmanager
def nothing_left() -> Iterator[None]:
    """Around a test: whatever it began is ended, and what it took from the system is given back."""
    before = open_descriptors("self")
    yield
    try:
        while _ends:
            _ends.pop()()
    finally:
        _ends.clear()
    assert not _timers(), "a timer of the real reactor is left"
    deadline = time.monotonic() + _PATIENCE
    while left := _descriptors_left(before):
        assert time.monotonic() < deadline, f"descriptors are left: {left}"
        threading.Event().wait(0.001)  # a thread may be about to close one


def _descriptors_left(before: dict[str, str]) -> dict[str, str]:
    """What has come since; none where there are no more than before."""
    after = open_descriptors("self")
    left = {number: what for number, what in after.items() if before.get(number) != what and what not in _kept}
    return left if len(after) > len(before) else {}


def open_descriptors(process: int | str) -> dict[str, str]:
    """Each open descriptor of a process and what it is; none where the system does not tell."""
    folder, found = f"/proc/{process}/fd", {}
    for number in os.listdir(folder) if os.path.isdir(folder) else ():
        try:
            found[number] = os.readlink(f"{folder}/{number}")
        except FileNotFoundError:
            pass  # that with which the folder was read, or one closed meanwhile
    return found


def kill_processes() -> None:
    """End what this process has started, and what that has; nothing where the system does not tell."""
    parents = _parents()
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    for pid in ours - {os.getpid()}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended itself


def _parents() -> dict[int, int]:
    """Of each process of the system."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                parents[int(pid)] = int(file.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended
    return parents


def _timers() -> list[object]:
    reactor = sys.modules.get("twisted.internet.reactor")
    return reactor.getDelayedCalls() if reactor is not None else []  # type: ignore[attr-defined]


@contextmanager
def without_collector() -> Iterator[None]:
    """What is only kept by objects that keep each other stays: nobody looks for such circles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
