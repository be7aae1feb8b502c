"""Output above the line that is being typed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import sys
from collections.abc import Iterator
from typing import TextIO, cast

from prompt_toolkit.application import in_terminal
from prompt_toolkit.output import Output


class Above(io.TextIOBase):
    """Takes the place of a stream: what is written appears above the prompt, which is drawn anew below it."""

    def __init__(self, output: Output) -> None:
        """`output` is the terminal."""
        self._output = output
        self._context = contextvars.copy_context()  # what comes of a thread knows nothing of the prompt
        self._waiting: list[str] = []
        self._showing: asyncio.Future[None] | None = None

    def write(self, text: str) -> int:
        """Show it in a moment, with everything else that is written until then."""
        self._waiting.append(text)
        if self._showing is None:
            self._showing = self._context.copy().run(asyncio.ensure_future, self._show())
        return len(text)

    async def _show(self) -> None:
        try:
            async with in_terminal():
                self.show_now()
        finally:
            self._showing = None

    def show_now(self) -> None:
        """Without regard to a prompt."""
        text, self._waiting = "".join(self._waiting), []
        self._output.write_raw(text)
        self._output.flush()

    async def shown(self) -> None:
        """Until everything written so far is seen."""
        while self._showing is not None:
            await self._showing


@contextlib.contextmanager
def streams_above(output: Output) -> Iterator[Above]:
    """Until its end, what is printed to a stream that is a terminal appears above the prompt."""
    above = Above(output)
    out, error = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        cast("TextIO", above) if stream is not None and stream.isatty() else stream for stream in (out, error)
    )
    try:
        yield above
    finally:
        sys.stdout, sys.stderr = out, error
        above.show_now()
