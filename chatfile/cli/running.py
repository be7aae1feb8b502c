"""The reactor's life around one run of the program."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.cli.exits import Exit, exit_code
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.session import Session, connected, one_command
from chatfile.cli.views import View
from chatfile.client import ChatFileClient

_SEAT_PATIENCE = 5.0
"""Seconds in which a seat just left must be free again."""


def run(arguments: argparse.Namespace) -> Exit:
    """Do what `arguments` say; the result is the exit code."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 -- importing it installs it

    reactor: Any = installed  # it has more than one interface, and `run` takes more than they say
    outcome: list[Exit | Failure] = []
    view = View(as_json=arguments.json, quiet=arguments.quiet)

    def begin() -> None:
        running: Deferred[Any] = Deferred.fromCoroutine(_main(reactor, arguments, view, interrupts))
        interrupts.handle = running.cancel
        running.addErrback(_exit_if_cancelled)
        running.addBoth(outcome.append)
        running.addBoth(lambda _: reactor.stop())

    interrupts = Interrupts(reactor, reactor.stop)
    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    code = _exit_of(outcome[0], view) if outcome else Exit.INTERRUPTED
    if code is Exit.LOCAL_FILE:
        _forget_output()
    return code


def _exit_if_cancelled(failure: Failure) -> Failure:
    if failure.check(CancelledError):
        os._exit(Exit.INTERRUPTED)  # at once: a thread may be stuck in a write that nobody reads
    return failure


def _forget_output() -> None:
    """What could not be written is not tried again by the interpreter on its way out, which would complain."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_of(outcome: Exit | Failure, view: View) -> Exit:
    if isinstance(outcome, Exit):
        return outcome
    if outcome.check(BrokenPipeError):
        return Exit.LOCAL_FILE
    if isinstance(outcome.value, errors.ChatFileError):
        view.error(outcome.value)
        return exit_code(outcome.value)
    outcome.raiseException()
    return Exit.BROKEN


async def _main(reactor: Any, arguments: argparse.Namespace, view: View, interrupts: Interrupts) -> Exit:
    async def reconnect() -> ChatFileClient:
        # The server may let us in again a moment before it hears that we have gone.
        return await connected(arguments, reactor, view, wait=max(arguments.wait, _SEAT_PATIENCE))

    session = Session(await connected(arguments, reactor, view, wait=arguments.wait), arguments, view)
    try:
        if arguments.command:
            return await one_command(session, arguments)
        from chatfile.cli.prompt import Prompt, StandardInput  # noqa: PLC0415 -- a single command needs no prompt

        is_interactive = sys.stdin is not None and sys.stdin.isatty()
        source = StandardInput(reactor)
        return await Prompt(session, source, interrupts, reconnect, is_interactive=is_interactive).run()
    finally:
        session.client.abort()
