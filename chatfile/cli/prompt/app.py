"""The application of the prompt: lines typed become jobs; on Ctrl-C, Ctrl-D and lost connections it asks what to do."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from typing import Any

from prompt_toolkit.application import get_app_session
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from chatfile import errors, wire
from chatfile.cli.connecting import Reconnect, leave
from chatfile.cli.exits import ExitCode, exit_code
from chatfile.cli.format import truncate
from chatfile.cli.interrupts import Interrupts
from chatfile.cli.lines import parse_at_prompt
from chatfile.cli.live import toolbar
from chatfile.cli.prompt.completion import Completions
from chatfile.cli.prompt.executor import Job, JobQueue, PromptPerformer
from chatfile.cli.prompt.history import kept_history
from chatfile.cli.prompt.reader import PlainReader, Reader
from chatfile.cli.prompt.terminal import Interrupted, streams_above
from chatfile.cli.session import Session
from chatfile.cli.streams import is_free
from chatfile.cli.terminal import is_dumb
from chatfile.cli.view import PromptView
from chatfile.client import ChatFileClient

_A_MOMENT = 0.3
"""Seconds in which most of what is typed is done: until then the next prompt waits, and need not be drawn twice."""
_LONG = 0.5
"""Seconds after which it is told that an attempt to connect is under way."""
_REDRAW = 0.25
_LONGEST_SERVER = 40
"""Columns of the prompt that an address may take."""


class Left(Exception):
    """Raised where the user has left by `exit`."""


class PromptApp:
    """A session of a person at a terminal with a server, over as many connections as it takes."""

    def __init__(
        self,
        session: Session,
        reactor: Any,
        interrupts: Interrupts,
        reconnect: Reconnect,
    ) -> None:
        """Take over `session`, which is connected; `reactor` is asyncio's, `reconnect` makes another connection."""
        self._session = session
        self._clock: IReactorTime = reactor
        self._interrupts = interrupts
        self._output = get_app_session().output
        self._terminal = sys.stdout
        self._is_dumb = is_dumb()
        self._server = wire.printable(truncate(session.config.server, _LONGEST_SERVER))
        if not session.config.as_json:
            quiet = session.config.is_quiet
            session.view = PromptView(quiet=quiet, width=lambda: self._output.get_size().columns)
        session.is_prompt = True
        session.reconnect = self._reconnect
        session.lost = self._lost
        completions = Completions(
            lambda: [*session.files, *session.paths],
            lambda: session.local_folder,
            self._refresh_listing,
            session.when_listed,
        )
        self._reader: Reader | PlainReader = (
            PlainReader() if self._is_dumb else Reader(self._clock, kept_history(), completions, self._toolbar)
        )
        self._performer = PromptPerformer(session, self._reader.interrupt_with)
        self._jobs = JobQueue(self._carry_out, self._reader.interrupt_with)
        self._asked_about: Job | None = None
        self._idle_wait: Deferred[None] | None = None
        self._connect = reconnect
        self._connecting: Deferred[ChatFileClient] | None = None

    async def run(self) -> ExitCode:
        """Run until the user leaves, and return the exit code."""
        redrawing = LoopingCall(self._redraw)
        redrawing.clock = self._clock
        self._interrupts.handle = self._signalled
        with nullcontext() if self._is_dumb else streams_above(self._output) as above:
            tab = "" if self._is_dumb else " Tab completes,"
            self._session.view.note(f'Connected. "help" shows what can be typed,{tab} Ctrl-D leaves.')
            self._session.refresh()
            redrawing.start(_REDRAW)
            try:
                with self._reader.raw_mode():
                    return await self._converse()
            finally:
                redrawing.stop()
                if above is not None:
                    await Deferred.fromFuture(asyncio.ensure_future(above.shown()))

    async def _converse(self) -> ExitCode:
        while True:
            try:
                if self._is_dumb:
                    await self._wait_idle()  # such a terminal can't show a prompt and output at once
                typed = await self._reader.line(wire.printable(self._session.client.name), self._server)
                await self._take(typed)
                code = None
            except (Interrupted, EOFError, Left, errors.ChatFileError) as event:
                code = await self._respond(event)
            if code is not None:
                return code

    async def _respond(self, event: Exception) -> ExitCode | None:
        """Deal with an event that came instead of a line; return the exit code where the session ends, else None."""
        try:
            match event:
                case Interrupted(typed=""):
                    await self._offer_to_stop()
                case EOFError():
                    return await self._leave()
                case Left():
                    return ExitCode.DONE
                case errors.ChatFileError():
                    return await self._offer_to_reconnect(event)
        except (Left, errors.ChatFileError) as another:
            return await self._respond(another)
        return None

    # --- what was typed ---

    async def _take(self, typed: str) -> None:
        """Add each line of what was typed, or pasted, as a job, and wait a moment: most are done by then."""
        given = [line for line in typed.splitlines() if line]
        lines = [line for line in given if self._add(line, is_alone=len(given) == 1)]
        if not self._is_dumb:
            await self._wait_idle(_A_MOMENT)
        waiting = min(len(lines), len(self._jobs.waiting))
        if self._jobs.current is not None and waiting and not self._is_dumb:
            first = f'"{lines[-1]}" waits' if waiting == 1 else f"{waiting} lines wait"
            self._session.view.note(f'{first} until "{self._jobs.current.line}" is done.')

    def _add(self, line: str, *, is_alone: bool) -> bool:
        """Add a job for `line` unless it is refused or answered at once; return whether it was added."""
        try:
            command = parse_at_prompt(line)
        except errors.ChatFileError as error:
            if not is_alone:
                self._session.view.note(f'"{truncate(line, _LONGEST_SERVER)}" is not carried out:')
            self._session.view.error(error)
            return False
        if self._jobs.are_ending:
            self._session.view.note(f'"{line}" is not carried out: "exit" was typed before it.')
            return False
        job = Job(line, command)
        if self._jobs.is_downloading and self._performer.answer_beside(job, self._jobs.add):
            return False
        self._jobs.add(job)
        return True

    async def _wait_idle(self, longest: float | None = None) -> None:
        """Wait until no job is under way, or for `longest` seconds."""
        self._idle_wait = self._jobs.wait_idle()
        if longest is not None:
            self._idle_wait.addTimeout(longest, self._clock)
        try:
            await self._idle_wait
        except (TimedOut, CancelledError):
            pass
        finally:
            self._idle_wait = None

    async def _carry_out(self, job: Job) -> None:
        if job.is_last:
            self._session.expect_end()
        try:
            await self._performer.perform(job)
        except errors.ChatFileError as error:
            if self._session.is_lost(error) and not job.is_last:
                self._interrupted_by_server(job, error)
            else:
                self._session.view.error(error)
        if self._asked_about is job:
            self._reader.withdraw()
        if job.is_last:
            self._jobs.pause()
            self._reader.interrupt_with(Left())

    def _interrupted_by_server(self, job: Job, why: errors.ChatFileError) -> None:
        """Deal with a connection that broke amid `job`: the reason is shown with the question whether to reconnect."""
        if job.is_fetching:
            self._jobs.requeue(job)
        else:
            self._jobs.pause()
            self._session.view.note(f'There is no answer to "{job.line}".')
        if self._session.is_given_up:
            self._reader.interrupt_with(why)  # no other connection could be made
        self._session.client.abort()

    def _refresh_listing(self) -> None:
        if self._jobs.is_idle:
            self._session.refresh(with_tree=True)

    def _toolbar(self) -> str | None:
        job, waiting = self._jobs.current, len(self._jobs.waiting)
        if job is None:
            return None
        width = self._output.get_size().columns
        progress = self._session.progress
        progress.measure()
        if job.is_fetching and progress.current is not None:
            return toolbar(progress.current, progress.total, waiting, width)
        return truncate(f"{wire.printable(job.line)}: waiting for the server", width)

    def _redraw(self) -> None:
        if is_free(self._terminal):  # one that stands still is drawn when it goes on
            self._reader.redraw()

    # --- Ctrl-C, Ctrl-D ---

    def _signalled(self) -> None:
        """Handle SIGINT: a Ctrl-C while no prompt is there to take it as a key."""
        if self._connecting is not None:
            connecting, self._connecting = self._connecting, None
            connecting.cancel()
            return
        self._reader.interrupt_with(Interrupted())
        if self._idle_wait is not None:
            self._idle_wait.cancel()

    async def _offer_to_stop(self) -> None:
        job = self._jobs.current
        if job is not None and await self._ask_about(job, "Stop", Interrupted) and self._jobs.current is job:
            await self._stop()

    async def _ask_about(self, job: Job, what_to_do: str, key: type[Exception]) -> bool | None:
        """Return the answer to a question about `job`; None where the job was done before there was one.

        `key` stands for the key that led to the question: once more it means yes, while the other one means no.
        """
        self._asked_about = job
        try:
            return await self._reader.ask(f"{what_to_do} {job.described()}", otherwise=False)
        except (Interrupted, EOFError) as struck:
            return isinstance(struck, key)
        finally:
            self._asked_about = None

    async def _stop(self) -> None:
        """Stop the job under way. Where the rest of a reply would still come, another connection takes over."""
        await self._jobs.stop()
        if self._session.client.is_waiting or self._session.is_given_up:
            await self._session.renew()
        self._session.view.note("Stopped.")
        if self._session.client.is_receiving:  # else the user is asked first whether to connect again
            self._jobs.resume()

    async def _leave(self) -> ExitCode | None:
        job = self._jobs.current
        is_wanted = job is None or await self._ask_about(job, "Leave, and stop", EOFError)
        if is_wanted is None and self._session.client.is_receiving:
            return await self._leave()  # there may be another one under way
        if not is_wanted:
            return None  # or the connection has gone, and that is shown first
        self._session.expect_end()
        await self._jobs.stop()
        self._note(self._jobs.what_is_dropped())
        if not self._session.client.is_receiving:
            return ExitCode.DONE  # `exit` was carried out in the meantime, or the server has gone just now
        self._interrupts.handle = self._session.client.abort  # the server may never answer
        with self._reader.signals_enabled():
            code = await leave(self._session.client, self._session.view)
        self._session.view.note("Bye.")
        return code

    # --- the connection ---

    async def _offer_to_reconnect(self, why: errors.ChatFileError) -> ExitCode | None:
        await self._jobs.wait_idle()
        code = exit_code(why)
        while True:
            self._session.view.error(why)
            self._note(self._jobs.what_waits())
            try:
                if not await self._reader.ask("Connect again?", otherwise=True):
                    return code
                await self._session.renew()
            except (Interrupted, EOFError):
                return code
            except errors.ChatFileError as error:
                why = error
            else:
                self._session.view.note("Connected.")
                self._jobs.resume()
                return None

    async def _reconnect(self) -> ChatFileClient:
        """Connect again; Ctrl-C is a signal meanwhile. Raises a `ChatFileError` where that fails or was stopped."""
        self._connecting = Deferred.fromCoroutine(self._connect())
        late = self._clock.callLater(_LONG, self._session.view.note, "Connecting; Ctrl-C stops that.")
        try:
            with self._reader.signals_enabled():
                return await self._connecting
        except (errors.NoConnection, CancelledError):
            if self._connecting is None:
                raise errors.NoConnection("The attempt to connect was stopped.") from None
            raise
        finally:
            self._connecting = None
            if late.active():
                late.cancel()

    def _note(self, text: str | None) -> None:
        if text is not None:
            self._session.view.note(text)

    def _lost(self, why: errors.ChatFileError) -> None:
        self._jobs.pause()
        self._reader.interrupt_with(why)
