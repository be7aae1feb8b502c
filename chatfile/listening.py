"""The ports that the server listens at: their backlog, and what other servers have left of UNIX sockets."""

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
"""Connections that the system keeps until they are accepted, where the endpoint description gives no number.

Linux keeps no more than `net.core.somaxconn`; clients beyond that try again after a second, then after two more.
"""
_TWISTED_BACKLOG = 50
LOCK_TIMEOUT = 1.0
"""Seconds to wait for another server that is starting in the same folder: by then it listens, or is gone."""
_LOCK_INTERVAL = 0.01
"""Seconds between two attempts to lock a folder."""

_UNIX = re.compile(r"(?:haproxy:)?unix:(.*)", re.DOTALL)
_ARGUMENT = re.compile(r"(?:[^:\\]|\\.)*", re.DOTALL)

_log = Logger()


@implementer(IStreamServerEndpoint)
class TunedEndpoint:
    """Wraps an endpoint: many clients can wait to be accepted there, unless its description gives another backlog."""

    def __init__(self, endpoint: IStreamServerEndpoint, description: str, *, peer_begins: bool) -> None:
        """Wrap `endpoint`, which `description` describes.

        `peer_begins` tells whether each connection begins with what the peer sends: a TLS handshake, or the header of
        the PROXY protocol.
        """
        self._endpoint = endpoint
        self._has_backlog = "backlog=" in description
        self._peer_begins = peer_begins
        self._is_inherited = _UNIX.fullmatch(description) is None
        self.address: IAddress | None = None
        """Where it listens, once it does."""

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`."""
        listening: Deferred[IListeningPort] = self._endpoint.listen(factory)
        return listening.addCallback(self._wrap)

    def _wrap(self, port: IListeningPort) -> IListeningPort:
        self.address = port.getHost()
        if isinstance(port, unix.Port):
            return UnixPort(self._tune(port), is_inherited=self._is_inherited)
        if self._peer_begins and isinstance(port, tcp.Port) and hasattr(socket, "TCP_DEFER_ACCEPT"):
            # The system keeps a client that sends nothing for a second or so, and it evicts no other (tcp(7)).
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
        return self._tune(port)

    def _tune(self, port: P) -> P:
        if isinstance(port, tcp.Port):
            port.numberAccepts = 1  # in the first turn of the reactor; `take_small_turns` keeps it there
            if port.backlog == _TWISTED_BACKLOG and not self._has_backlog:
                port.socket.listen(BACKLOG)  # the system takes the latest number
        return port


def unix_path(description: str) -> str | None:
    """Return the path of the UNIX socket that `description` describes.

    Returns None for all else: another kind of endpoint, an abstract socket, and a socket without a lock file.
    """
    match = _UNIX.fullmatch(description)
    if match is None:
        return None
    arguments = [re.sub(r"\\(.)", r"\1", each, flags=re.DOTALL) for each in _ARGUMENT.findall(match[1])]
    named = dict(each.split("=", 1) for each in arguments if "=" in each)
    path = named.get("address", arguments[0])
    return None if path.startswith("\0") or named.get("lockfile") == "0" else path


@contextmanager
def claim_socket_path(path: str) -> Iterator[None]:
    """Remove a stale socket at `path`, and its lock file, and keep other servers from the folder within the context.

    The lock file of Twisted's ports is a link to a process id, which may be that of another process by now, as in a
    container where each server has the id 1. So the system is asked whether a process listens at the socket.

    Raises OSError if one does, or if there is something else at `path`.
    """
    with _folder_lock(os.path.dirname(path) or "."):
        if _has_listener(path):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        _remove_stale(path, "socket", stat.S_IFSOCK)
        _remove_stale(f"{path}.lock", "lock", stat.S_IFLNK)
        yield


@contextmanager
def _folder_lock(folder: str) -> Iterator[None]:
    """Lock `folder` against other servers that start: between bind and listen, a socket looks as if it were stale.

    Every process that may read a folder can lock it, for a good reason (systemd-tmpfiles does) or to do harm. So after
    `LOCK_TIMEOUT` seconds, a little more than a start takes, the server goes on without the lock.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # it is not there, or may not be read: go on without the lock
        return
    try:
        until = time.monotonic() + LOCK_TIMEOUT
        while not _try_lock(descriptor) and time.monotonic() < until:
            time.sleep(_LOCK_INTERVAL)  # in the reactor's thread: no client is served yet
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock a folder, and return False if another process has the lock; True also where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _has_listener(path: str) -> bool:
    """Tell whether a process listens at the socket `path`. Raises OSError where that can't be found out."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            pass  # its backlog is full
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # a socket of another kind, in use
                raise
    return True


def _remove_stale(path: str, what: str, kind: int) -> None:
    """Remove the file at `path`, if there is one.

    `what` is the word for it in the log and in errors, `kind` its type of file (`stat.S_IFSOCK`, ...). Raises OSError
    if it is of another type, or can't be removed.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_IFMT(mode) != kind:
        raise OSError(errno.EEXIST, f'there is something else at "{path}", and no {what}')
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # another process was faster
    except OSError as error:
        raise OSError(
            error.errno, f'the {what} "{path}" is of no use, and can\'t be removed: {error.strerror}'
        ) from error
    _log.info("Removed the {what} {path}: nobody listens there", what=what, path=path, event="stale")


@implementer(IListeningPort)
class UnixPort:
    """Wraps a port at a UNIX socket; removes that socket when it stops listening, but no other one.

    Twisted's own port removes any socket that has its path by then: also that of another server which has started
    meanwhile, and the one that systemd listens at on its behalf, where no client could connect any more.
    """

    def __init__(self, port: unix.Port, *, is_inherited: bool) -> None:
        """Wrap `port`, which listens already.

        `is_inherited` tells whether another process, such as systemd, made the socket: then it is not removed.
        """
        self._port = port
        self._path = port.getHost().name
        self._bound = None if is_inherited else _device_and_inode(self._path)

    def startListening(self) -> None:
        """Do nothing: the port listens already."""

    def stopListening(self) -> Deferred[None] | None:
        """Accept no more connections, and remove the socket if it is still the one that the port made."""
        if self._bound is not None and _device_and_inode(self._path) == self._bound:
            stopping: Deferred[None] | None = self._port.stopListening()
            return stopping
        self._port.stopReading()
        self._port.socket.close()
        return None

    def getHost(self) -> IAddress:
        """Return the address."""
        host: IAddress = self._port.getHost()
        return host


def _device_and_inode(path: bytes | str | None) -> tuple[int, int] | None:
    try:
        status = os.lstat(path or "")
    except OSError:
        return None
    return status.st_dev, status.st_ino
