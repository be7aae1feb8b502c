"""One conversation with a server, on behalf of a person or a script."""

from __future__ import annotations

import argparse
import contextlib
import errno
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from chatfile import errors, tls, wire
from chatfile.cli.arguments import STDOUT, endpoint_description
from chatfile.cli.exits import ExitCode, error_word, exit_code
from chatfile.cli.format import percentage
from chatfile.cli.meter import TransferMeter
from chatfile.cli.progress import Progress
from chatfile.cli.view import KEPT, View
from chatfile.client import CLOSING, TLS_HINT, ChatFileClient, connect
from chatfile.downloads import Download, Stage, Step, download
from chatfile.endpoints import CheckingReactor
from chatfile.partfile import Saved

Reconnect = Callable[[], Coroutine[Deferred[Any], Any, ChatFileClient]]
"""What gives another connection to the same server. Raises a `ChatFileError`."""
BREAKS = (errors.ServerClosed, errors.ServerSilent, *CLOSING)
"""How a connection ends that was a good one."""
_FOR_EVER = 10**8
"""Seconds: three years."""
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_LONG_PAUSE = 3.0
"""Seconds before which it is worth saying that we still wait."""


async def connected(
    arguments: argparse.Namespace,
    clock: IReactorTime,
    view: View,
    *,
    wait: float,
    despite: tuple[type[errors.ChatFileError], ...] = (errors.Full,),
) -> ChatFileClient:
    """A connection to the server; `despite` its being full, tried again with growing pauses for `wait` seconds."""
    began, pause = clock.seconds(), _FIRST_PAUSE
    while True:
        try:
            return await _connected(arguments, clock, view)
        except despite as error:
            waited = clock.seconds() - began
            if waited >= wait:
                raise
            if arguments.wait:
                _tell_of_waiting(view, error, waited, wait, pause)
            await deferLater(clock, min(pause, wait - waited), lambda: None)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _server(arguments: argparse.Namespace) -> str | IStreamClientEndpoint:
    patience = math.ceil(arguments.timeout) + 1 if arguments.timeout else _FOR_EVER  # the endpoint's own is 30 s
    address = tls.parse_address(arguments.server)
    if address is None:
        description = endpoint_description(arguments.server)
        return description if description == arguments.server else f"{description}:timeout={patience}"
    if "timeout" not in dict(address.arguments):
        address = replace(address, arguments=(*address.arguments, ("timeout", str(patience))))
    return tls.address_endpoint(
        address, cafile=arguments.cafile, certificate=arguments.cert, key=arguments.key, reactor=CheckingReactor()
    )


async def _connected(arguments: argparse.Namespace, clock: IReactorTime, view: View) -> ChatFileClient:
    late = clock.callLater(_LONG_PAUSE, _tell_of_silence, arguments, view)
    try:
        return await connect(_server(arguments), timeout=arguments.timeout)
    except (errors.NoConnection, errors.BadAddress) as error:
        raise type(error)(server=arguments.server, why=error.why) from error
    finally:
        if late.active():
            late.cancel()


def _tell_of_silence(arguments: argparse.Namespace, view: View) -> None:
    longest = f" for {arguments.timeout:g} s" if arguments.timeout else ""
    hint = "" if arguments.server.startswith(("tls:", "unix:")) else f" {TLS_HINT}"
    view.note(f"No greeting from {arguments.server} yet; waiting{longest}.{hint}")


def _tell_of_waiting(view: View, error: errors.ChatFileError, waited: float, wait: float, pause: float) -> None:
    if pause == _FIRST_PAUSE or pause >= _LONG_PAUSE:
        with contextlib.suppress(OSError):  # a result that can't be written is a failure of its own
            view.event("waiting", code=error_word(error), waited=round(waited, 1), seconds_left=round(wait - waited, 1))
        what = "The server is full" if isinstance(error, errors.Full) else "The server does not answer"
        view.note(f"{what}; trying again for {wait - waited:.0f} s.")


class Session:
    """Carries out requests and shows what comes of them."""

    def __init__(
        self, client: ChatFileClient, arguments: argparse.Namespace, view: View, progress: Progress | None = None
    ) -> None:
        """`client` is connected."""
        self.client = client
        self.view = view
        self.progress = progress or Progress(client.clock)
        self._arguments = arguments
        self._saved = Saved()

    async def run(self, request: wire.Request) -> None:
        """Carry out one request. Raises a `ChatFileError` where that fails."""
        match request:
            case wire.Message(text):
                self.view.ack(text, await self.client.send(text))
            case wire.Status():
                everyone = getattr(self._arguments, "all", False)
                self.view.clients(await self.client.status(), me=self.client.name, everyone=everyone)
            case wire.List():
                self.view.files(await self.client.listing(), sort=getattr(self._arguments, "sort", None))
            case wire.Help():
                self.view.help(await self.client.help())
            case wire.Hash(name):
                self.view.digest(await self._hash(name))
            case wire.Get(name) | wire.Resume(_, name):
                await self.download(name)
            case wire.Exit():
                await self.client.exit()
                self.view.goodbye()

    async def _hash(self, name: str) -> wire.Digest:
        """The digest; a big file is given the time that it takes."""
        try:
            sizes = await self.sizes((name,))
        except errors.Unavailable:
            sizes = {}
        return await self.client.hash(name, size=sizes.get(name, 0))

    async def sizes(self, names: Collection[str]) -> dict[str, int]:
        """How big each of these files is, as far as it is listed."""
        wanted = frozenset(names)
        return {row.name: row.size for row in await self.client.listing() if row.name in wanted}

    async def download(
        self,
        name: str,
        *,
        output: str | None = None,
        force: bool = False,
        listed_size: int | None = None,
        number: int = 0,
    ) -> None:
        """Save a file: `output` is the path of its final name, by default that in the folder of downloads.

        `number` is its place among several.
        """
        if output is None:
            folder, save_as = self._arguments.downloads, os.fsdecode(name.encode())  # the same bytes in every locale
        else:
            folder, save_as = os.path.split(output)
        if os.path.isdir(os.path.join(folder, save_as)):
            raise errors.LocalFileError(path=os.path.join(folder, save_as), why="it is a folder")
        began = time.monotonic()
        with self.progress.of(name, number) as meter:
            saved = await download(
                self.client, name, folder or ".", save_as=save_as, force=force, create_folder=output is None,
                listed_size=listed_size, saved=self._saved, progress=meter.advance,
                stage=lambda stage: self._tell_of(meter, stage),
            )  # fmt: skip
            shown = saved if output is None else replace(saved, path=output)  # as it was typed, without "./"
            self.view.download(shown, time.monotonic() - began, meter.average_rate)

    def _tell_of(self, meter: TransferMeter, stage: Stage) -> None:
        meter.stage(stage)
        if stage.step is Step.RECEIVING and stage.at:
            self.view.note(f"{meter.name}: resumed at {percentage(stage.at, stage.size)} %")

    async def copy_to_stdout(self, name: str) -> None:
        """Write a file to standard output: what has gone out can't be called back, the exit code tells of it."""
        began = time.monotonic()
        with self.progress.of(name) as meter:
            try:
                received = await self.client.get(name, _standard_output(meter), progress=meter.advance)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise errors.LocalFileError(path="standard output", why=errors.reason(error)) from error
            except errors.DigestMismatch:
                raise errors.DigestMismatch(
                    f'"{wire.printable(name)}" arrived damaged: its SHA-256 is not the one that the server computed. '
                    "Do not use what went to standard output; try again."
                ) from None
        copy = Download(name, STDOUT, received.header.size, received.sha256, received.verified, resumed_from=0)
        self.view.copied(copy, time.monotonic() - began)


def _standard_output(meter: TransferMeter) -> Callable[[wire.FileHeader], Deferred[int | None]]:
    def accept(header: wire.FileHeader) -> Deferred[int | None]:
        meter.stage(Stage(Step.RECEIVING, 0, header.size))
        return succeed(_open_output())

    return accept


def _open_output() -> int:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "closed")
    sys.stdout.flush()
    return sys.stdout.fileno()


def name_in(request: wire.Request) -> str | None:
    """The file that it is about, if it is about one."""
    return request.name if isinstance(request, wire.Get | wire.Resume | wire.Hash) else None


async def one_command(session: Session, arguments: argparse.Namespace) -> ExitCode:
    """Carry out the command of the command line that is a single request; the result is the exit code."""
    requests: dict[str, wire.Request] = {"status": wire.Status(), "list": wire.List(), "help": wire.Help()}
    request = requests.get(arguments.command)
    if request is None:
        request = wire.Message(arguments.text) if arguments.command == "send" else wire.Hash(arguments.name)
    return await attempt(session, session.run(request), name_in(request))


async def attempt(session: Session, doing: Coroutine[Deferred[Any], Any, None], name: str | None = None) -> ExitCode:
    """Do it; where that fails, show why, with the file `name`. The result is the exit code that tells of it."""
    try:
        await doing
    except errors.ChatFileError as error:
        session.view.error(error, name)
        if isinstance(error, errors.TransferBroken):
            session.view.note(KEPT)
        return exit_code(error)
    return ExitCode.DONE


async def leave(session: Session) -> ExitCode:
    """Say goodbye, or hang up where bytes that nobody wants any more are still coming."""
    client = session.client
    if client.is_waiting:
        client.abort()
        return ExitCode.DONE
    try:
        await client.exit()
    except errors.ProtocolViolation as violation:  # it said more than it had promised, maybe before we asked to leave
        session.view.error(violation)
        return ExitCode.BROKEN
    except errors.ChatFileError:
        client.abort()  # everything asked for was answered before; how the server goes is its own affair
    return ExitCode.DONE
