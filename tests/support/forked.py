"""Our programs, forked from one process that has imported what they are made of: to start one takes no time.

Run as a program, this is that process. What it forks has arguments, a folder, streams and a limit of descriptors of its
own, and a terminal if it is to have one, and ends as an interpreter does. Whatever else is to be different, most of the
environment above all, takes a real start.
"""

from __future__ import annotations

import codecs
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support import ROOT, leftovers

_PROGRAMS = ("chatfile-client", "twistd")
_LONGEST = 1 << 16
"""Bytes of a request."""
_NUMBER = struct.Struct("i")
_OF_ONE_TEST = {"PYTEST_CURRENT_TEST"}
_READ_LATE = {"TERM", "NO_COLOR", "XDG_STATE_HOME"}
"""What nobody reads of the environment before a program begins."""
_NOBODY = 65534
_CHANGES = {"open", "os.mkdir", "os.truncate", "os.utime", "os.remove", "os.link", "os.rename"}
_environment: dict[str, str] | None = None
_origin: Origin | None = None
_lock = threading.Lock()
"""Several threads may ask for the first program at the same time."""


class Origin:
    """The process that all are forked from, which ends with this one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._asking = threading.Lock()
        self._requests, theirs = socket.socketpair()
        leftovers.keep(self._requests.fileno())
        with theirs:
            command = [sys.executable, "-m", __name__]
            # Its streams are as little at a place, and as little a terminal, as those of what it forks.
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
            )

    def end(self) -> None:
        self._requests.close()
        self._process.wait()

    def is_like(self, environment: Mapping[str, str]) -> bool:
        """Whether what it forks has this environment."""
        different = {*environment.items()} ^ {*self._environment.items()}
        return {name for name, _ in different} <= _OF_ONE_TEST | _READ_LATE

    def fork(self, request: Request, streams: Sequence[int]) -> tuple[int, socket.socket]:
        """Have a program started; return its process, and where its status will be told."""
        told, theirs = socket.socketpair()
        with self._asking, theirs:
            socket.send_fds(self._requests, [json.dumps(asdict(request)).encode()], [*streams, theirs.fileno()])
            theirs.close()
            pid = told.recv(_NUMBER.size)
        assert pid, self._requests.recv(_LONGEST).decode()
        return _NUMBER.unpack(pid)[0], told


@dataclass(frozen=True)
class Request:
    """What is to be started where, and what becomes of it."""

    command: Sequence[str]
    folder: str
    files: tuple[int, int]
    """How many descriptors it may have."""
    as_nobody: bool = False
    """Whether root becomes another user first; what is not imported by then, that one may not be able to read."""
    dies_at: int = 0
    """The number, from 1 on, of the change to the folder of downloads before which it is killed; 0: never."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is different in it, of the names that are read late."""
    at_terminal: bool = False
    """Whether its first stream is a terminal whose Ctrl-C it is to get."""


class Forked:
    """A program that has been started; much like `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], folder: Path, streams: Sequence[int], **differences: Any) -> None:
        """`differences` are those of the `Request`."""
        self.returncode: int | None = None
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.pid, self._told = origin().fork(Request(command, str(folder), limits, **differences), streams)

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._ended_within(timeout)) is None:
            raise subprocess.TimeoutExpired("a program", timeout or 0)
        return status

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], seconds)[0]:
            (self.returncode,) = _NUMBER.unpack(self._told.recv(_NUMBER.size))
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)  # it has this number until we know of its end

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    command: Sequence[object],
    folder: Path,
    streams: Sequence[int],
    environment: Mapping[str, str] | None = None,
    *,
    at_terminal: bool = False,
) -> Forked | subprocess.Popen[bytes]:
    """Start a command in `folder` with these streams; `environment` has what is different in its own.

    With `at_terminal` its streams are a terminal, whose Ctrl-C it gets.
    """
    words, around = [*map(str, command)], {**os.environ, **(environment or {})}
    if _environment is not None and os.path.basename(words[0]) in _PROGRAMS and origin().is_like(around):
        late = {name: around[name] for name in _READ_LATE & around.keys()}
        return Forked(words, folder, streams, environment=late, at_terminal=at_terminal)
    if at_terminal:  # the first one that a new session opens is the one whose Ctrl-C it gets
        words = ["sh", "-c", 'exec "$@" < "$0" > "$0" 2>&1', os.ttyname(streams[0]), *words]
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        words, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, env=around, start_new_session=at_terminal
    )


def origin() -> Origin:
    """Return the one of this process, started when it is asked for first."""
    global _origin  # noqa: PLW0603 -- as long as the tests are run
    with _lock:
        if _origin is None:
            assert _environment is not None
            _origin = Origin(_environment)
        return _origin


def begin() -> None:
    """From here on, programs are forked wherever they may be, with the environment that this process has now."""
    global _environment  # noqa: PLW0603
    _environment = {name: value for name, value in os.environ.items() if name not in _OF_ONE_TEST}


def end() -> None:
    """End what they are forked from, when all of them have ended."""
    global _environment, _origin  # noqa: PLW0603
    if _origin is not None:
        _origin.end()
    _environment = _origin = None


# --- the other process ---


def _forked(requests: socket.socket) -> tuple[Request, list[int]]:
    """Fork as it is asked to; return in the forked process, with what it was asked for. At the end, end."""
    while True:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets them when they end
        data, descriptors, *_ = socket.recv_fds(requests, _LONGEST, 4)
        if not data:
            sys.exit()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if not (pid := os.fork()):
                requests.close()
                return Request(**json.loads(data)), descriptors
            _watch(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(pid: int, descriptors: list[int]) -> None:
    """Tell of a child's end; it has its number as long as somebody may not have heard of that."""
    *streams, told = descriptors
    for stream in streams:
        os.close(stream)
    os.write(told, _NUMBER.pack(pid))
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    os.write(told, _NUMBER.pack(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
    os.read(told, 1)
    os.waitpid(pid, 0)
    os._exit(0)


def _become(request: Request, descriptors: list[int]) -> None:
    *streams, told = descriptors
    os.close(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request.at_terminal:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request.folder)
    for name in _READ_LATE:
        os.environ.pop(name, None)
    os.environ.update(request.environment)
    resource.setrlimit(resource.RLIMIT_NOFILE, request.files)
    if request.as_nobody and os.geteuid() == 0:
        for encoding in ("ascii", "idna"):
            codecs.lookup(encoding)
        from twisted.internet import reactor  # noqa: F401

        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    sys.argv = [*request.command]
    if request.dies_at:
        _die_at(request.dies_at)


def _die_at(count: int) -> None:
    left = count

    def count_down(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _CHANGES and "/" not in str(arguments[0]).removeprefix("client_downloads"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count_down)


def main() -> None:
    sys.path[0] = os.path.dirname(sys.executable)  # as of a script that is installed
    from twisted.scripts.twistd import run as twistd

    import chatfile.cli.piped
    import chatfile.cli.prompt.app
    import chatfile.cli.run
    import chatfile.service  # noqa: F401
    from chatfile.cli import main as client

    assert "twisted.internet.reactor" not in sys.modules, "each has a reactor of its own"
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as requests:
        request, descriptors = _forked(requests)
    _become(request, descriptors)
    sys.exit({"chatfile-client": client, "twistd": twistd}[os.path.basename(sys.argv[0])]())


if __name__ == "__main__":
    main()
