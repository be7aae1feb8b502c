"""The reactor's life around one run of the program."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.cli.arguments import STDOUT
from chatfile.cli.events import ProgressEvents
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.gauges import Gauge
from chatfile.cli.getting import Getting
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.outlets import drain
from chatfile.cli.progress import Bars, Display, Progress, is_drawable
from chatfile.cli.resolving import Resolver
from chatfile.cli.session import Reconnect, Session, attempt, connected, leave, one_command
from chatfile.cli.streams import concluded, forget_output
from chatfile.cli.views import KEPT, View
from chatfile.client import ChatFileClient
from chatfile.timeouts import use_monotonic_clock

_SEAT_PATIENCE = 5.0
"""Seconds in which a seat just left must be free again."""
_SHORT = 1.0
"""Seconds for which a terminal that stands still keeps the program after a Ctrl-C, which sets it going."""
_WATCH_PATIENCE = 60.0
"""Seconds for which somebody who watches waits for a server that is restarted, and may drain before."""
_NOT_NOW = (errors.Full, errors.NoConnection, errors.NoGreeting)
"""What a server that was there a moment ago gets over."""


def run(arguments: argparse.Namespace) -> ExitCode:
    """Do what `arguments` say; the result is the exit code."""
    if arguments.command is not None or not _is_at_a_terminal():
        return _run(arguments, is_interactive=False)
    from chatfile.cli.prompt.terminal import prepared  # noqa: PLC0415 -- only the prompt needs what it imports

    with prepared():
        return _run(arguments, is_interactive=True)


def _is_at_a_terminal() -> bool:
    """Whether somebody types and sees what is shown."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _run(arguments: argparse.Namespace, *, is_interactive: bool) -> ExitCode:
    from twisted.internet import reactor as installed  # noqa: PLC0415 -- importing it installs it

    reactor: Any = installed  # it has more than one interface, and `run` takes more than they say
    use_monotonic_clock(reactor)
    reactor.installNameResolver(Resolver())
    outcome: list[ExitCode | Failure] = []
    view = View(as_json=arguments.json, quiet=arguments.quiet, output_is_taken=_is_copied_out(arguments))
    progress = Progress(reactor, _display(arguments, view, is_interactive))
    if not arguments.json:
        view.aside = progress.aside

    def begin() -> None:
        main = _main(reactor, arguments, view, progress, interrupts, is_interactive)
        running: Deferred[Any] = Deferred.fromCoroutine(main)
        interrupts.handle = running.cancel
        running.addErrback(_exit_if_cancelled, arguments, view, progress)
        running.addBoth(outcome.append)
        running.addBoth(lambda _: reactor.stop())

    interrupts = Interrupts(reactor, reactor.stop)
    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    code = _exit_of(outcome[0], view) if outcome else ExitCode.INTERRUPTED
    if code is ExitCode.LOCAL_FILE:
        forget_output()
    is_meant_for_others = code is ExitCode.DONE if _is_copied_out(arguments) else view.has_written
    return concluded(code) if is_meant_for_others or code is ExitCode.UNREAD else code


def _exit_if_cancelled(failure: Failure, arguments: argparse.Namespace, view: View, progress: Progress) -> Failure:
    if failure.check(CancelledError):
        unfinished = progress.unfinished
        try:
            view.interrupted(_what_came(arguments, unfinished), unfinished.name if unfinished else None)
        finally:
            drain(_SHORT)
            os._exit(ExitCode.INTERRUPTED)  # at once: a thread may be stuck in a write that nobody reads
    return failure


def _what_came(arguments: argparse.Namespace, unfinished: Gauge | None) -> str:
    if unfinished is None or not unfinished.at:
        return ""
    return "What went to standard output is not whole." if _is_copied_out(arguments) else KEPT


def _is_copied_out(arguments: argparse.Namespace) -> bool:
    return bool(arguments.command == "get" and arguments.output == STDOUT)


def _exit_of(outcome: ExitCode | Failure, view: View) -> ExitCode:
    if isinstance(outcome, ExitCode):
        return outcome
    if outcome.check(BrokenPipeError):
        return ExitCode.UNREAD
    if isinstance(outcome.value, errors.ChatFileError):
        view.error(outcome.value)
        return exit_code(outcome.value)
    outcome.raiseException()
    return ExitCode.BROKEN


async def _main(
    reactor: Any,
    arguments: argparse.Namespace,
    view: View,
    progress: Progress,
    interrupts: Interrupts,
    is_interactive: bool,
) -> ExitCode:
    async def reconnect() -> ChatFileClient:
        # The server may let us in again a moment before it hears that we have gone; or it has just been restarted.
        patience = _WATCH_PATIENCE if arguments.command == "watch" else _SEAT_PATIENCE
        return await connected(arguments, reactor, view, wait=max(arguments.wait, patience), despite=_NOT_NOW)

    client = await connected(arguments, reactor, view, wait=arguments.wait)
    session = Session(client, arguments, view, progress)
    try:
        if is_interactive:
            return await _at_the_prompt(session, arguments, reactor, interrupts)
        if not arguments.command:
            return await _piped(reactor, session)
        if arguments.command == "get":
            code = await Getting(session, arguments, reconnect).run()
        elif arguments.command == "watch":
            code = await attempt(session, _watch(reactor, session, interrupts, arguments.interval, reconnect))
        else:
            code = await one_command(session, arguments)
        return code or await leave(session)
    finally:
        session.client.abort()


async def _at_the_prompt(
    session: Session, arguments: argparse.Namespace, reactor: Any, interrupts: Interrupts
) -> ExitCode:
    from chatfile.cli.prompt import Conversation  # noqa: PLC0415 -- a single command starts without it

    async def reconnect() -> ChatFileClient:
        # The server may let us in again a moment before it hears that we have gone.
        return await connected(arguments, reactor, session.view, wait=max(arguments.wait, _SEAT_PATIENCE))

    return await Conversation(session, arguments, reactor, interrupts, reconnect).run()


async def _piped(reactor: Any, session: Session) -> ExitCode:
    from chatfile.cli.piped import Piped, StandardInput  # noqa: PLC0415 -- a single command needs no lines

    return await Piped(session, StandardInput(reactor)).run()


async def _watch(reactor: Any, session: Session, interrupts: Interrupts, interval: float, reconnect: Reconnect) -> None:
    from chatfile.cli.watching import Blocks, Picture, watch  # noqa: PLC0415 -- nothing else needs it

    picture: Picture = Blocks(session.view)
    if not session.view.as_json and is_drawable(sys.stdout):
        from chatfile.cli.screen import Screen  # noqa: PLC0415 -- rich takes longer to load than all the rest

        picture = Screen(sys.stdout)
    await watch(session, reactor, interrupts, picture, interval, reconnect)


def _display(arguments: argparse.Namespace, view: View, is_interactive: bool) -> Display | None:
    """Who shows the progress, if anyone."""
    if arguments.quiet:
        return None
    if arguments.json:
        return ProgressEvents(view)
    is_mixed = _is_copied_out(arguments) and sys.stdout is not None and sys.stdout.isatty()
    return Bars(sys.stderr) if is_drawable(sys.stderr) and not is_mixed and not is_interactive else None
