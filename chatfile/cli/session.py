"""One conversation with a server, on behalf of a person or a script."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from chatfile import errors, tls, wire
from chatfile.cli.arguments import STDOUT, endpoint_description
from chatfile.cli.exits import Exit, exit_code
from chatfile.cli.views import View
from chatfile.client import ChatFileClient, connect
from chatfile.downloads import download

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0


async def connected(arguments: argparse.Namespace, clock: IReactorTime, view: View, *, wait: float) -> ChatFileClient:
    """A connection to the server; where that is full, tried again with growing pauses for `wait` seconds."""
    deadline, pause = clock.seconds() + wait, _FIRST_PAUSE
    while True:
        try:
            return await connect(_server(arguments), timeout=arguments.timeout)
        except errors.NoConnection as error:
            raise errors.NoConnection(server=arguments.server, why=error.why) from error
        except errors.Full:
            left = deadline - clock.seconds()
            if left <= 0:
                raise
            if pause == _FIRST_PAUSE and arguments.wait:
                view.note("The server is full; waiting for a seat.")
            await deferLater(clock, min(pause, left), lambda: None)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _server(arguments: argparse.Namespace) -> str | IStreamClientEndpoint:
    address = tls.parse_address(arguments.server)
    if address is None:
        return endpoint_description(arguments.server)
    return tls.address_endpoint(address, cafile=arguments.cafile, certificate=arguments.cert, key=arguments.key)


class Session:
    """Carries out requests and shows what comes of them."""

    def __init__(self, client: ChatFileClient, arguments: argparse.Namespace, view: View) -> None:
        """`client` is connected."""
        self.client = client
        self.view = view
        self._arguments = arguments

    async def run(self, request: wire.Request) -> None:
        """Carry out one request. Raises a `ChatFileError` where that fails."""
        match request:
            case wire.Message(text):
                self.view.ack(text, await self.client.send(text))
            case wire.Status():
                self.view.clients(await self.client.status())
            case wire.List():
                self.view.files(await self.client.listing())
            case wire.Help():
                self.view.help(await self.client.help())
            case wire.Hash(name):
                self.view.digest(await self.client.hash(name))
            case wire.Get(name) | wire.Resume(_, name):
                await self.download(name)
            case wire.Exit():
                await self.client.exit()
                self.view.goodbye()

    async def download(self, name: str, *, output: str | None = None, force: bool = False) -> None:
        """Save a file: `output` is the path of its final name, by default that in the folder of downloads."""
        if output is None:
            folder, save_as = self._arguments.downloads, os.fsdecode(name.encode())  # the same bytes in every locale
        else:
            folder, save_as = os.path.split(output)
        if os.path.isdir(os.path.join(folder, save_as)):
            raise errors.LocalFileError(path=os.path.join(folder, save_as), why="it is a folder")
        began = time.monotonic()
        try:
            saved = await download(
                self.client, name, folder or ".", save_as=save_as, force=force, create_folder=output is None
            )
        except errors.TransferBroken:
            self.view.note("What came is kept; get it again to go on.")
            raise
        self.view.download(saved, time.monotonic() - began)

    async def copy_to_stdout(self, name: str) -> None:
        """Write a file to standard output: what has gone out can't be called back, the exit code tells of it."""
        try:
            received = await self.client.get(name, _standard_output())
        except OSError as error:
            raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error
        if not received.verified:
            self.view.note(f"{wire.printable(name)}: not verified, for the server does not hash")


def _standard_output() -> int:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "closed")
    sys.stdout.flush()
    os.set_blocking(sys.stdout.fileno(), True)  # another program may have left it otherwise
    return sys.stdout.fileno()


async def one_command(session: Session, arguments: argparse.Namespace) -> Exit:
    """Carry out the command of the command line and say goodbye; the result is the exit code."""
    requests: dict[str, wire.Request] = {"status": wire.Status(), "list": wire.List(), "help": wire.Help()}
    if arguments.command == "get":
        code = await _get_all(session, arguments)
    else:
        request = requests.get(arguments.command)
        if request is None:
            request = wire.Message(arguments.text) if arguments.command == "send" else wire.Hash(arguments.name)
        code = await attempt(session, session.run(request))
    return code or await leave(session)


async def _get_all(session: Session, arguments: argparse.Namespace) -> Exit:
    """Each name is tried; the code is that of the first failure."""
    code = Exit.DONE
    for name in arguments.names:
        if arguments.output == STDOUT:
            getting = session.copy_to_stdout(name)
        else:
            getting = session.download(name, output=arguments.output, force=arguments.force)
        failed = await attempt(session, getting)
        code = code or failed
    return code


async def attempt(session: Session, doing: Coroutine[Deferred[Any], Any, None]) -> Exit:
    """Do it; where that fails, show why. The result is the exit code that tells of it."""
    try:
        await doing
    except errors.ChatFileError as error:
        session.view.error(error)
        return exit_code(error)
    return Exit.DONE


async def leave(session: Session) -> Exit:
    """Say goodbye, or hang up where bytes that nobody wants any more are still coming."""
    client = session.client
    if client.is_waiting:
        client.abort()
        return Exit.DONE
    try:
        await client.exit()
    except errors.ProtocolViolation as violation:  # it said more than it had promised, maybe before we asked to leave
        session.view.error(violation)
        return Exit.BROKEN
    except errors.ChatFileError:
        client.abort()  # everything asked for was answered before; how the server goes is its own affair
    return Exit.DONE
