"""One run of the program: the reactor runs until one coroutine has returned the exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatfile import errors
from chatfile.cli.commands import WatchClients
from chatfile.cli.config import ClientConfig
from chatfile.cli.connecting import NOT_NOW, SEAT_PATIENCE, connected
from chatfile.cli.executor import Executor
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.live import Bars
from chatfile.cli.outlets import drain
from chatfile.cli.progress import Progress, ProgressEvents
from chatfile.cli.resolving import Resolver
from chatfile.cli.streams import concluded, forget_output
from chatfile.cli.terminal import is_drawable
from chatfile.cli.view import KEPT, View
from chatfile.client import ChatFileClient
from chatfile.timeouts import use_monotonic_clock

_SHORT = 1.0
"""Seconds that the program waits after a Ctrl-C for a terminal that stood still to show the last lines."""
_WATCH_PATIENCE = 60.0
"""Seconds for which `watch` waits for a server that restarts, and may finish transfers before."""


def run(config: ClientConfig) -> ExitCode:
    """Carry out what `config` asks for, and return the exit code."""
    if config.command is not None or not _is_at_a_terminal():
        return _Run(config, is_interactive=False).run_to_end()
    from chatfile.cli.prompt.terminal import prepared  # noqa: PLC0415 -- only the prompt needs what it imports

    with prepared():
        return _Run(config, is_interactive=True).run_to_end()


def _is_at_a_terminal() -> bool:
    """Tell whether standard input and output are both terminals."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _exit_code_of(outcome: ExitCode | Failure, view: View) -> ExitCode:
    if isinstance(outcome, ExitCode):
        return outcome
    if outcome.check(BrokenPipeError):
        return ExitCode.UNREAD
    if isinstance(outcome.value, errors.ChatFileError):
        view.error(outcome.value)
        return exit_code(outcome.value)
    outcome.raiseException()
    return ExitCode.BROKEN


class _Run:
    """Owns the reactor, the view and the handling of Ctrl-C for one run."""

    def __init__(self, config: ClientConfig, *, is_interactive: bool) -> None:
        from twisted.internet import reactor as installed  # noqa: PLC0415 -- importing it installs it

        reactor: Any = installed
        self._reactor = reactor  # it has more than one interface, and `run` takes more than they say
        self._config = config
        self._is_interactive = is_interactive
        self._view = View(
            as_json=config.as_json,
            quiet=config.is_quiet,
            output_is_taken=config.writes_to_stdout,
            as_tables=sys.stdout is not None and sys.stdout.isatty(),
        )
        self._progress = Progress(reactor, self._display())
        if not config.as_json:
            self._view.aside = self._progress.aside
        self._interrupts = Interrupts(reactor, reactor.stop)
        self._outcome: ExitCode | Failure = ExitCode.INTERRUPTED  # until there is another one

    def run_to_end(self) -> ExitCode:
        """Run the reactor until the command is done, and return the exit code."""
        use_monotonic_clock(self._reactor)
        self._reactor.installNameResolver(Resolver())
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run(installSignalHandlers=False)
        code = _exit_code_of(self._outcome, self._view)
        if code is ExitCode.LOCAL_FILE:
            forget_output()
        is_meant_for_others = code is ExitCode.DONE if self._config.writes_to_stdout else self._view.has_written
        return concluded(code) if is_meant_for_others or code is ExitCode.UNREAD else code

    def _begin(self) -> None:
        running: Deferred[Any] = Deferred.fromCoroutine(self._main())
        self._interrupts.handle = running.cancel
        running.addBoth(self._end)

    def _end(self, outcome: ExitCode | Failure) -> None:
        if isinstance(outcome, Failure) and outcome.check(CancelledError):
            self._exit_interrupted()
        self._outcome = outcome
        self._reactor.stop()

    def _exit_interrupted(self) -> None:
        """Tell that the user interrupted, and exit at once: a thread may block in a write that nobody reads."""
        unfinished = self._progress.unfinished
        try:
            self._view.interrupted(self._what_came(), unfinished.name if unfinished else None)
        finally:
            drain(_SHORT)
            os._exit(ExitCode.INTERRUPTED)

    def _what_came(self) -> str:
        if self._progress.unfinished is None or not self._progress.unfinished.at:
            return ""
        return "What went to standard output is not whole." if self._config.writes_to_stdout else KEPT

    def _display(self) -> Bars | ProgressEvents | None:
        """Return the display of progress; None where there is none."""
        if self._config.is_quiet or (self._is_interactive and not self._config.as_json):
            return None  # at the prompt, there is the toolbar
        if self._config.as_json:
            return ProgressEvents(self._view)
        is_mixed = self._config.writes_to_stdout and sys.stdout is not None and sys.stdout.isatty()
        return Bars(sys.stderr) if is_drawable(sys.stderr) and not is_mixed else None

    # --- in the reactor ---

    async def _main(self) -> ExitCode:
        client = await connected(self._config, self._reactor, self._view, wait=self._config.wait)
        executor = Executor(client, self._config, self._view, self._progress, self._reconnect)
        try:
            return await self._converse(executor)
        finally:
            executor.client.abort()

    async def _converse(self, executor: Executor) -> ExitCode:
        if self._is_interactive:
            return await self._prompt(executor)
        command = self._config.command
        if command is None:
            from chatfile.cli.piped import Piped, StandardInput  # noqa: PLC0415 -- a single command needs no lines

            return await Piped(executor, StandardInput(self._reactor)).run()
        if isinstance(command, WatchClients):
            code = await executor.shown(self._watch(executor, command.interval))
        else:
            code = await executor.attempt(command)
        return code or await executor.leave()

    async def _reconnect(self) -> ChatFileClient:
        """Connect again, and keep trying for some seconds.

        The server may still count the connection that has just ended, or it may be restarting.
        """
        patience = _WATCH_PATIENCE if isinstance(self._config.command, WatchClients) else SEAT_PATIENCE
        despite = (errors.Full,) if self._is_interactive else NOT_NOW
        wait = max(self._config.wait, patience)
        return await connected(self._config, self._reactor, self._view, wait=wait, despite=despite)

    async def _prompt(self, executor: Executor) -> ExitCode:
        from chatfile.cli.prompt import PromptApp  # noqa: PLC0415 -- a single command starts without it

        executor.reconnect = None  # the user is asked first
        return await PromptApp(executor, self._reactor, self._interrupts, self._reconnect).run()

    async def _watch(self, executor: Executor, interval: float) -> None:
        from chatfile.cli.keys import stopped_by_q  # noqa: PLC0415 -- nothing else needs it
        from chatfile.cli.watch import PlainWatch, WatchTable, watch  # noqa: PLC0415

        reactor, interrupts = self._reactor, self._interrupts
        if self._view.as_json or not is_drawable(sys.stdout):
            await watch(executor, reactor, interrupts, PlainWatch(self._view), interval, self._reconnect)
            return
        with stopped_by_q(reactor, interrupts) as has_keys:
            stops = "q or Ctrl-C" if has_keys else "Ctrl-C"
            await watch(executor, reactor, interrupts, WatchTable(sys.stdout), interval, self._reconnect, stops)
