"""One run of the program: the reactor runs until one coroutine has returned the exit code."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from chatfile import errors
from chatfile.cli.arguments import ClientConfig, parse_arguments
from chatfile.cli.commands import GetFiles, WatchClients
from chatfile.cli.connecting import NO_SEAT, NOT_NOW, SEAT_PATIENCE, connected, leave
from chatfile.cli.executor import attempt
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.expected import read_digests
from chatfile.cli.interrupts import Interrupts, stopped_by_q
from chatfile.cli.live import Bars
from chatfile.cli.progress import Progress, ProgressEvents
from chatfile.cli.session import Session
from chatfile.cli.streams import concluded, drain, forget_output
from chatfile.cli.terminal import is_drawable
from chatfile.cli.view import KEPT, View
from chatfile.client import ChatFileClient
from chatfile.resolving import Resolver
from chatfile.timeouts import use_monotonic_clock

_SHORT = 1.0
"""Seconds that the program waits after a Ctrl-C for a terminal that stood still to show the last lines."""
_WATCH_PATIENCE = 60.0
"""Seconds for which `watch` waits for a server that restarts, and may finish transfers before."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_TAB_PATIENCE = 2.0
"""Seconds for which the user waits after a Tab at a shell, at most."""


def run(config: ClientConfig) -> ExitCode:
    """Carry out what `config` asks for, and return the exit code."""
    is_at_a_terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    if config.command is not None or not is_at_a_terminal:
        return _run_once(config)
    from chatfile.cli.prompt.terminal import prepared  # noqa: PLC0415 -- only the prompt needs what it imports

    with prepared():
        return _Run(config, _prepared_reactor(), is_interactive=True).run_to_end()


def _run_once(config: ClientConfig) -> ExitCode:
    try:
        reactor = _prepared_reactor()
    except OSError as error:  # the system gives it no descriptors
        no_connection = errors.NoConnection(server=config.server, why=errors.reason(error))
        View(as_json=config.as_json, quiet=config.is_quiet).error(no_connection)
        return exit_code(no_connection)
    return _Run(config, reactor, is_interactive=False).run_to_end()


def remote_names(options: Mapping[str, str]) -> list[str]:
    """Return the names of the files on the server to which `options` and the environment lead, for a Tab at a shell.

    Returns none where that fails or takes longer than two seconds. Raises SystemExit where `options` are wrong.
    """
    about_servers = ("server", "cafile", "cert", "key")
    arguments = [f"--{name}={options[name]}" for name in about_servers if name in options]
    config = parse_arguments([*arguments, f"--timeout={_TAB_PATIENCE:g}", "list"], os.environ)
    reactor, names = _prepared_reactor(), list[str]()

    async def ask() -> None:
        client = await connected(config, reactor, View(as_json=False, quiet=True), wait=0)
        try:
            try:
                rows = await client.tree()
            except errors.NoSubfolders:
                rows = await client.listing()
            names.extend([row.name for row in rows])
            await client.exit()  # so that the seat is free when the user's command is run
        finally:
            client.abort()

    def begin() -> None:
        asking = Deferred.fromCoroutine(ask()).addTimeout(_TAB_PATIENCE, reactor)
        asking.addErrback(lambda _: None)
        asking.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    return names


def _prepared_reactor() -> Any:
    from twisted.internet import reactor as installed  # noqa: PLC0415 -- importing it installs it

    reactor: Any = installed  # it has more than one interface, and `run` takes more than they say
    use_monotonic_clock(reactor)
    reactor.installNameResolver(Resolver())
    return reactor


class _Run:
    """Owns the reactor, the view and the handling of Ctrl-C for one run."""

    def __init__(self, config: ClientConfig, reactor: Any, *, is_interactive: bool) -> None:
        self._reactor = reactor
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
        self._code = ExitCode.INTERRUPTED  # until there is another one
        self._defect: Exception | None = None

    def run_to_end(self) -> ExitCode:
        """Run the reactor until the command is done, and return the exit code."""
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run(installSignalHandlers=False)
        if self._defect is not None:
            raise self._defect
        code = self._code
        if code is ExitCode.LOCAL_FILE:
            forget_output()
        is_meant_for_others = code is ExitCode.DONE if self._config.writes_to_stdout else self._view.has_written
        return concluded(code) if is_meant_for_others or code is ExitCode.UNREAD else code

    def _begin(self) -> None:
        self._interrupts.handle = Deferred.fromCoroutine(self._to_the_end()).cancel

    async def _to_the_end(self) -> None:
        try:
            self._code = await self._main()
        except CancelledError:
            self._exit_interrupted()
        except BrokenPipeError:
            self._code = ExitCode.UNREAD
        except errors.ChatFileError as error:
            self._view.error(error)
            self._code = exit_code(error)
        except OSError as error:
            self._exhausted_or_defect(error)
        except Exception as defect:  # its traceback is shown when the reactor has stopped
            self._defect = defect
        self._reactor.stop()

    def _exhausted_or_defect(self, error: OSError) -> None:
        """Tell that descriptors or memory have run out, which can be at an import; anything else is a defect."""
        if error.errno in _EXHAUSTED:
            exhausted = errors.Exhausted(why=errors.reason(error))
            self._view.error(exhausted)
            self._code = exit_code(exhausted)
        else:
            self._defect = error

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
        command = self._config.command
        if isinstance(command, WatchClients):
            return await self._watch(command.interval)
        if isinstance(command, GetFiles):
            command = await read_digests(command, self._config, self._view)
            if not command.wanted:
                return ExitCode.DONE  # all files of a list are here
        session = Session(await self._connect(), self._config, self._view, self._progress, self._reconnect)
        try:
            if self._is_interactive:
                from chatfile.cli.prompt.app import PromptApp  # noqa: PLC0415 -- a single command starts without it

                return await PromptApp(session, self._reactor, self._interrupts, self._reconnect).run()
            if command is None:
                from chatfile.cli.piped import carry_out_lines  # noqa: PLC0415 -- a single command needs no lines

                return await carry_out_lines(session, self._reactor)
            code = await attempt(session, command)
            return code or await leave(session.client, session.view)
        finally:
            session.client.abort()

    async def _connect(self) -> ChatFileClient:
        return await connected(self._config, self._reactor, self._view, wait=self._config.wait, in_line=self._in_line)

    @property
    def _in_line(self) -> float:
        """Return the seconds to wait in the line of a full server: a user at the prompt can give up at any time."""
        return self._config.wait or (math.inf if self._is_interactive else 0.0)

    async def _reconnect(self) -> ChatFileClient:
        """Connect again, and keep trying for some seconds.

        The server may still count the connection that has just ended, or it may be restarting.
        """
        patience = _WATCH_PATIENCE if isinstance(self._config.command, WatchClients) else SEAT_PATIENCE
        despite = NO_SEAT if self._is_interactive else NOT_NOW
        wait = max(self._config.wait, patience)
        return await connected(
            self._config, self._reactor, self._view, wait=wait, in_line=self._in_line, despite=despite
        )

    async def _watch(self, interval: float) -> ExitCode:
        from chatfile.cli.watch import PlainWatch, WatchTable, watch  # noqa: PLC0415 -- nothing else needs it

        reactor, interrupts = self._reactor, self._interrupts
        is_plain = self._view.as_json or not is_drawable(sys.stdout)
        shown = PlainWatch(self._view) if is_plain else WatchTable(sys.stdout)
        with contextlib.nullcontext(False) if is_plain else stopped_by_q(reactor, interrupts) as has_keys:
            stops = "q or Ctrl-C" if has_keys else "Ctrl-C"
            return await watch(self._view, reactor, interrupts, shown, interval, self._connect, self._reconnect, stops)
