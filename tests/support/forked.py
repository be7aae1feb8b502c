"""Our programs, forked from one process that has imported what they are made of: to start one takes no time.

Run as a program, this is that process. What it forks has arguments, a folder, pipes and a limit of descriptors of its
own, and ends as an interpreter does. Whatever else is to be different, the environment above all, takes a real start.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import ROOT, leftovers

_PROGRAMS = ("chatfile-client", "twistd")
_LONGEST = 1 << 17
"""Bytes of a request."""
_OF_ONE_TEST = {"PYTEST_CURRENT_TEST"}
_origin: Origin | None = None


class Origin:
    """The process that all are forked from, which ends with this one."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        leftovers.keep(self._requests.fileno())
        with theirs:
            command = [sys.executable, "-m", __name__]
            # Its streams are as little at a place, and as little a terminal, as those of what it forks.
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
        atexit.register(self._end)

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()

    def is_like(self, environment: Mapping[str, str]) -> bool:
        """Whether what it forks has this environment."""
        different = {*environment.items()} ^ {*self._environment.items()}
        return {name for name, _ in different} <= _OF_ONE_TEST

    def fork(self, request: Mapping[str, object], descriptors: Sequence[int]) -> None:
        socket.send_fds(self._requests, [json.dumps(request).encode()], [*descriptors])

    def complaint(self) -> str:
        """What it says where it does not do that."""
        return b"".join(iter(lambda: self._requests.recv(_LONGEST), b"")).decode()


class Forked:
    """A program that has been started; much like `subprocess.Popen`."""

    def __init__(self, origin: Origin, command: Sequence[str], folder: Path, streams: Sequence[int]) -> None:
        self.returncode: int | None = None
        self._told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        with theirs:
            request = {"command": command, "folder": str(folder), "files": files}
            origin.fork(request, [*streams, theirs.fileno()])
        pid = self._told.recv(16)
        assert pid, origin.complaint()
        self.pid = int(pid)

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        if (status := self._ended_within(timeout)) is None:
            raise subprocess.TimeoutExpired("a program", timeout or 0)
        return status

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], seconds)[0]:
            self.returncode = int(self._told.recv(16))
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
    command: Sequence[object], folder: Path, streams: Sequence[int], environment: Mapping[str, str] | None = None
) -> Forked | subprocess.Popen[bytes]:
    """Start a command in `folder` with these descriptors; `environment` has what is different in its own."""
    words, around = [*map(str, command)], {**os.environ, **(environment or {})}
    if sys.platform == "linux" and os.path.basename(words[0]) in _PROGRAMS:
        origin = _the_origin()
        if origin.is_like(around):
            return Forked(origin, words, folder, streams)
    stdin, stdout, stderr = streams
    return subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, env=around)


def _the_origin() -> Origin:
    global _origin  # noqa: PLW0603 -- one for all tests of a process
    if _origin is None:
        _origin = Origin()
    return _origin


# --- the other process ---


def _forked(requests: socket.socket) -> tuple[dict[str, object], list[int]]:
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
                return json.loads(data), descriptors
            _watch(pid, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(pid: int, descriptors: list[int]) -> None:
    """Tell of a child's end; it has its number as long as somebody may not have heard of that."""
    *streams, told = descriptors
    for stream in streams:
        os.close(stream)
    os.write(told, b"%d" % pid)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    os.write(told, b"%d" % (ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
    os.read(told, 1)
    os.waitpid(pid, 0)
    os._exit(0)


def _become(request: dict[str, object], descriptors: list[int]) -> None:
    for number, descriptor in enumerate(descriptors):
        if number < 3:
            os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(str(request["folder"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, request["files"])  # type: ignore[arg-type]
    sys.argv = request["command"]  # type: ignore[assignment]


def main() -> None:
    from twisted.scripts.twistd import run as twistd

    import chatfile.cli.piped
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
