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
from chatfile.cli.prompt import Prompt, StandardInput
from chatfile.cli.session import Session, connected, one_command
from chatfile.cli.views import View


def run(arguments: argparse.Namespace) -> Exit:
    """Do what `arguments` say; the result is the exit code."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 -- importing it installs it

    reactor: Any = installed  # it has more than one interface, and `run` takes more than they say
    outcome: list[Exit | Failure] = []
    view = View(as_json=arguments.json, quiet=arguments.quiet)

    def begin() -> None:
        running: Deferred[Any] = Deferred.fromCoroutine(_main(reactor, arguments, view, interrupts))
        interrupts.handle = running.cancel
        running.addBoth(outcome.append)
        running.addBoth(lambda _: reactor.stop())

    interrupts = Interrupts(reactor, reactor.stop)
    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    return _exit_of(outcome[0], view) if outcome else Exit.INTERRUPTED


def _exit_of(outcome: Exit | Failure, view: View) -> Exit:
    if isinstance(outcome, Exit):
        return outcome
    if outcome.check(CancelledError):
        return Exit.INTERRUPTED
    if outcome.check(BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what the interpreter still flushes
        return Exit.LOCAL_FILE
    if isinstance(outcome.value, errors.ChatFileError):
        view.error(outcome.value)
        return exit_code(outcome.value)
    outcome.raiseException()
    return Exit.BROKEN


async def _main(reactor: Any, arguments: argparse.Namespace, view: View, interrupts: Interrupts) -> Exit:
    session = Session(await connected(arguments, reactor), arguments, view)
    try:
        if arguments.command:
            return await one_command(session, arguments)
        is_interactive = sys.stdin is not None and sys.stdin.isatty()
        return await Prompt(session, StandardInput(reactor), interrupts, is_interactive=is_interactive).run()
    finally:
        session.client.abort()
