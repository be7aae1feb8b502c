"""The queue of lines typed at the prompt, and the execution of commands that only the prompt has."""

from __future__ import annotations

import os
import subprocess
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from chatfile import disk, errors, wire
from chatfile.cli.commands import (
    HELP,
    HELP_BELOW,
    ChangeFolder,
    Command,
    GetFiles,
    LeaveServer,
    ListFiles,
    MirrorFolder,
    PromptCommand,
    RunShell,
    ShowFolder,
    ShowPromptHelp,
    ShowRaw,
    ShowServerHelp,
    ShowStatus,
)
from chatfile.cli.connecting import connected, leave
from chatfile.cli.executor import attempt, execute
from chatfile.cli.format import pluralize
from chatfile.cli.get import FileQueue, queue_of
from chatfile.cli.lines import split_words
from chatfile.cli.session import Session
from chatfile.cli.view import PromptView, View


class Job:
    """A line that was typed, and its command."""

    def __init__(self, line: str, command: PromptCommand) -> None:
        """Begin nothing yet: a `JobQueue` does that."""
        self.line = line
        self.command = command
        self.queue: FileQueue | None = None
        """The files to be fetched, once they are known."""

    @property
    def is_last(self) -> bool:
        """Tell whether no other job can come after this one."""
        return isinstance(self.command, LeaveServer)

    @property
    def is_fetching(self) -> bool:
        """Tell whether files are being fetched for it, or are about to be: then it can be carried out once more."""
        return self.queue is not None or isinstance(self.command, MirrorFolder)

    def described(self) -> str:
        """Return the end of the question whether to stop this job."""
        queue = self.queue
        if queue is None or len(queue.rows) > 1 or not queue.left:
            return f'"{wire.printable(self.line)}"?'
        return f'the download of "{wire.printable(queue.name)}"? The part received so far is kept.'


class JobQueue:
    """The jobs that wait and the one that is carried out. While the queue is paused, none begins."""

    def __init__(
        self,
        carry_out: Callable[[Job], Coroutine[Deferred[Any], Any, None]],
        report: Callable[[BaseException], None],
    ) -> None:
        """Carry out jobs by `carry_out`; an error that it raises is a defect of the program, and goes to `report`."""
        self.current: Job | None = None
        self.waiting: deque[Job] = deque()
        self._carry_out = carry_out
        self._report = report
        self._is_paused = False
        self._is_working = False
        self._working: Deferred[None] | None = None
        self._idle: list[Deferred[None]] = []

    @property
    def is_idle(self) -> bool:
        """Tell whether no job is under way."""
        return self.current is None

    @property
    def is_downloading(self) -> bool:
        """Tell whether files are being fetched."""
        return self.current is not None and self.current.is_fetching

    @property
    def are_ending(self) -> bool:
        """Tell whether the job that ends the session is under way or waits."""
        return any(job.is_last for job in (self.current, *self.waiting) if job is not None)

    def add(self, job: Job) -> None:
        """Carry out `job` after the others."""
        self.waiting.append(job)
        self._begin()

    def requeue(self, job: Job) -> None:
        """Carry out `job` once more, before the others; none begins before `resume` is called."""
        self.waiting.appendleft(job)
        self.pause()

    def pause(self) -> None:
        """Begin no other job; the one that is under way goes on."""
        self._is_paused = True

    def resume(self) -> None:
        """Begin the jobs that wait, after a `pause`."""
        self._is_paused = False
        self._begin()

    def stop(self) -> Deferred[None]:
        """Cancel the job that is under way, and begin no other; the result fires when it has ended."""
        self.pause()
        if self._working is not None:
            self._working.cancel()
        return self.wait_idle()

    def wait_idle(self) -> Deferred[None]:
        """Return a Deferred that fires when no job is under way."""
        if self.is_idle:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._idle.remove)
        self._idle.append(waiting)
        return waiting

    def what_waits(self) -> str | None:
        """Return the sentence about jobs that wait for another connection; None where there are none."""
        if not self.waiting:
            return None
        others = len(self.waiting) - 1
        more = f" and {pluralize(others, 'line')} more wait" if others else " waits"
        return f'"{self.waiting[0].line}"{more} for the next connection.'

    def what_is_dropped(self) -> str | None:
        """Return the sentence about jobs that are dropped when the user leaves; None where there are none."""
        dropped = [job for job in self.waiting if not job.is_last]
        return f"Not carried out: {pluralize(len(dropped), 'line')} that waited." if dropped else None

    def _begin(self) -> None:
        if not self._is_working:
            self._is_working = True
            self._working = Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        """Carry out jobs until none is left or the queue is paused."""
        while self.waiting and not self._is_paused:
            self.current = self.waiting.popleft()
            try:
                await self._carry_out(self.current)
            except CancelledError:
                pass  # it was stopped
            except Exception as error:  # a defect: it ends the session, and is shown
                self._report(error)
            self.current = None
        self._is_working = False
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)


class PromptPerformer:
    """Carries out the commands of the prompt: most of them as all modes do, the rest itself."""

    def __init__(self, session: Session, report: Callable[[BaseException], None]) -> None:
        """Carry out over `session` the commands that every mode has.

        `report` is called with what goes wrong with an answer for which nobody waits.
        """
        self._session = session
        self._report = report
        self._beside: Deferred[None] | None = None  # the answer that is under way during a download

    async def perform(self, job: Job) -> None:
        """Carry out the command of `job`. Raises a `ChatFileError` where that fails."""
        session = self._session
        match job.command:
            case GetFiles() as command:
                job.queue = job.queue or await queue_of(session, command)
                await job.queue.run()
                await session.make_ready()  # now, not when the next line is typed
            case ShowRaw(command):
                raw = View(as_json=session.config.as_json, quiet=session.config.is_quiet)
                await execute(Session(session.client, session.config, raw), command)
            case ShowPromptHelp() if isinstance(session.view, PromptView):
                session.view.prompt_help(HELP, HELP_BELOW)
            case ShowPromptHelp():
                await execute(session, ShowServerHelp())
            case ChangeFolder(folder):
                session.local_folder = _existing(session.local_folder, folder)
                session.config = replace(session.config, downloads=session.local_folder)
            case ShowFolder():
                session.view.lines([os.path.abspath(session.config.downloads)])
            case RunShell(command):
                await self._run_shell(command)
            case command:
                await execute(session, command)

    async def _run_shell(self, command: str) -> None:
        """Show what a shell says to `command`, which has no input: the keys are those of the prompt."""
        process = subprocess.Popen(  # noqa: S602 -- the user's own words, meant for a shell
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._session.local_folder or None,
        )
        try:
            output, _ = await disk.in_thread(process.communicate)
        finally:
            process.kill()  # where the job was stopped; otherwise it has ended
        self._session.view.lines(output.decode(errors="replace").splitlines())
        if process.returncode:
            self._session.view.note(f"The command ended with {process.returncode}.")

    def answer_beside(self, job: Job, wait: Callable[[Job], None]) -> bool:
        """Answer a job during a download; return False where it has to wait for its turn.

        What needs the server has a connection of its own; where there is none to be had, `wait(job)` is called.
        """
        if isinstance(job.command, ShowPromptHelp | ShowFolder):
            Deferred.fromCoroutine(self.perform(job)).addErrback(self._tell)
            return True
        if self._beside is not None or not isinstance(job.command, ShowStatus | ListFiles):
            return False
        self._beside = Deferred.fromCoroutine(self._answer_beside(job, job.command, wait)).addErrback(self._tell)
        return True

    def _tell(self, failure: Failure) -> None:
        if failure.value is not None:
            self._report(failure.value)

    async def _answer_beside(self, job: Job, command: Command, wait: Callable[[Job], None]) -> None:
        main = self._session
        try:
            client = await connected(main.config, main.client.clock, main.view, wait=0)
        except errors.ChatFileError as error:
            what = "The server is full" if isinstance(error, errors.Full) else "There is no second connection"
            main.view.note(f'{what}, so "{job.line}" waits for the download; it would need a second seat.')
            wait(job)
        else:
            beside = Session(client, main.config, main.view)
            beside.name = main.client.name  # it is us who ask
            await attempt(beside, command)
            main.files = beside.files or main.files
            await leave(client, main.view)
        finally:
            self._beside = None


def _existing(base: str, typed: str) -> str:
    """Return the folder that was `typed`, as Tab writes it or quoted as for a shell.

    Raises `NoSuchFolder`, `UnclosedQuote`.
    """
    folder = os.path.join(base, os.path.expanduser(typed))
    if not os.path.isdir(folder):
        folder = os.path.join(base, os.path.expanduser(" ".join(split_words(typed))))
    if not os.path.isdir(folder):
        raise errors.NoSuchFolder(path=wire.printable(folder))
    return folder
