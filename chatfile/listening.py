"""Where the server listens: room for many who come at once, and sockets of the file system that nobody uses."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from zope.interface import implementer

P = TypeVar("P", bound=IListeningPort)

BACKLOG = 1024
"""Connections that the system keeps until they are accepted, unless that is asked for otherwise. Linux takes no more
than `net.core.somaxconn`, and lets those beyond it try again, after a second, and another two."""
_TWISTEDS_BACKLOG = 50
PATIENCE = 1.0
"""Seconds in which another server that is just starting gets to where it listens, or is gone."""
_PAUSE = 0.01

_UNIX = re.compile(r"(?:haproxy:)?unix:(.*)", re.DOTALL)
_ARGUMENT = re.compile(r"(?:[^:\\]|\\.)*", re.DOTALL)

_log = Logger()


@implementer(IStreamServerEndpoint)
class Roomy:
    """An endpoint at which many can wait to be accepted, unless its description says how many."""

    def __init__(self, endpoint: IStreamServerEndpoint, description: str, *, is_encrypted: bool) -> None:
        """`description` is that of `endpoint`, at which everyone begins with a TLS handshake if it `is_encrypted`."""
        self._endpoint = endpoint
        self._says_how_many = "backlog=" in description
        self._is_encrypted = is_encrypted
        self._is_inherited = _UNIX.fullmatch(description) is None

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen, as the endpoint does."""
        listening: Deferred[IListeningPort] = self._endpoint.listen(factory)
        return listening.addCallback(self._prepare)

    def _prepare(self, port: IListeningPort) -> IListeningPort:
        if isinstance(port, unix.Port):
            return CarefulPort(self._with_room(port), is_inherited=self._is_inherited)
        return self._with_room(port)

    def _with_room(self, port: P) -> P:
        if isinstance(port, tcp.Port):
            port.numberAccepts = 1  # in the first turn; what is accepted then sees to it that it stays so
            if port.backlog == _TWISTEDS_BACKLOG and not self._says_how_many:
                port.socket.listen(BACKLOG)  # the system takes the latest number
            if self._is_encrypted and hasattr(socket, "TCP_DEFER_ACCEPT"):
                # Who says nothing stays with the system for a second or so, and pushes nobody out here (tcp(7)).
                port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        return port


def unix_path(description: str) -> str | None:
    """The path of a socket of the file system that is described and locked; None where it is anything else."""
    match = _UNIX.fullmatch(description)
    if match is None:
        return None
    arguments = [re.sub(r"\\(.)", r"\1", each, flags=re.DOTALL) for each in _ARGUMENT.findall(match[1])]
    named = dict(each.split("=", 1) for each in arguments if "=" in each)
    path = named.get("address", arguments[0])
    return None if path.startswith("\0") or named.get("lockfile") == "0" else path


@contextmanager
def vacated(path: str) -> Iterator[None]:
    """Remove the socket at `path`, and the lock beside it, if nobody listens there; let nobody else do so meanwhile.

    The lock of Twisted's ports is a link to a process's number, which may be another's by now, as in a container where
    everyone is number 1. Whether somebody listens, the system knows.

    Raises OSError where somebody does, or something else is in the way.
    """
    with _alone_in(os.path.dirname(path) or "."):
        if _is_listened_at(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        _remove(path, "socket", stat.S_IFSOCK)
        _remove(f"{path}.lock", "lock", stat.S_IFLNK)
        yield


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Be the only server that begins to listen in `folder`: between bind and listen, one looks as if it were gone.

    Whoever may read a folder can lock it, for reasons of his own (systemd-tmpfiles does), or to do harm; so it is
    waited for a little longer than a start takes, and then done without.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # it is not there, or may not be read: what can be done without will be done
        return
    try:
        until = time.monotonic() + PATIENCE
        while not _lock(descriptor) and time.monotonic() < until:
            time.sleep(_PAUSE)  # nobody is served yet
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock it; False where somebody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _is_listened_at(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            pass  # more wait there already than can
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # a socket of another kind, in use
                raise
    return True


def _remove(path: str, what: str, kind: int) -> None:
    """Remove the `what` at `path`, which nobody uses; raises OSError where it can't be removed, or is none."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_IFMT(mode) != kind:
        raise OSError(errno.EEXIST, f'there is something else at "{path}", and no {what}')
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # it has gone by itself
    except OSError as error:
        raise OSError(
            error.errno, f'the {what} "{path}" is of no use, and can\'t be removed: {error.strerror}'
        ) from error
    _log.info("Removed the {what} {path}: nobody listens there", what=what, path=path, event="stale")


@implementer(IListeningPort)
class CarefulPort:
    """A port at a UNIX socket that, when it ends, leaves alone a socket that is not its own.

    Twisted's port removes whatever is at its path by then: what another server has put there meanwhile, and the socket
    that systemd listens at on its behalf, where nobody would be served any more.
    """

    def __init__(self, port: unix.Port, *, is_inherited: bool) -> None:
        """`port` listens; it `is_inherited` from who has started us, or has put the socket there itself."""
        self._port = port
        self._path = port.getHost().name
        self._bound = None if is_inherited else _identity(self._path)

    def startListening(self) -> None:
        """Nothing is to be done: it listens."""

    def stopListening(self) -> Deferred[None] | None:
        """Accept no more, and remove the socket if it is still the one that was put there."""
        if self._bound is not None and _identity(self._path) == self._bound:
            stopping: Deferred[None] | None = self._port.stopListening()
            return stopping
        self._port.stopReading()
        self._port.socket.close()
        return None

    def getHost(self) -> IAddress:
        """The address."""
        host: IAddress = self._port.getHost()
        return host


def _identity(path: bytes | str | None) -> tuple[int, int] | None:
    try:
        status = os.lstat(path or "")
    except OSError:
        return None
    return status.st_dev, status.st_ino
