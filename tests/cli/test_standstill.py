"""Terminals that stand still, and pipes that are full: what is shown there waits, or is left out, but nothing else."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, cast

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from chatfile.cli.live import LiveRegion
from chatfile.cli.streams import Outlet, Writer, is_free
from tests.support.hostile import GREET, Hear, HostileServer, Send, Step, Wait
from tests.support.processes import PATIENCE, client_command, wait_until
from tests.support.terminals import PROMPT, Terminal

Hostile = Callable[..., HostileServer]
HALF = b"0" * 500
HEADER = b"FILE %d 2026-11-22T12:00:00Z a\n" % (2 * len(HALF))
END = b"END %s\n" % hashlib.sha256(HALF * 2).hexdigest().encode()
LISTED: list[Step] = [Hear(b"list"), Send(b"LIST 1\n1000 2026-11-22T12:00:00Z a\n")]
SENT: list[Step] = [Hear(b"get"), Send(HEADER + HALF), Wait(1), Send(HALF + END)]
BYE: list[Step] = [Hear(b"exit"), Send(b"BYE Client01\n")]
CTRL_S, CTRL_Q = "\x13", "\x11"


# --- in memory ---


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full, but for nothing."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fill(writer)
    os.set_blocking(writer, True)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def fill(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
    try:
        while True:
            os.write(descriptor, b"-" * 4096)
    except BlockingIOError:
        pass


def rest(reader: int) -> bytes:
    """What is behind that with which it was filled."""
    came = b""
    while not came.endswith(b"."):
        came += os.read(reader, 65536)
    return came.lstrip(b"-")


def test_what_waits_for_a_full_pipe_is_written_in_its_order(pipe: tuple[int, int]) -> None:
    writer = Writer()
    for number in range(10):
        writer.put(pipe[1], b"%d" % number)
    assert not writer.is_free
    writer.put(pipe[1], b".")
    assert rest(pipe[0]) == b"0123456789."
    writer.drain(PATIENCE)
    assert writer.is_free


def test_it_is_waited_for_no_longer_than_told(pipe: tuple[int, int]) -> None:
    writer = Writer()
    writer.put(pipe[1], b".")
    writer.drain(0)
    assert not writer.is_free
    rest(pipe[0])


def test_a_writer_whose_reader_has_gone_says_so() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    writer = Writer()
    writer.put(descriptor, b"first")
    writer.drain(PATIENCE)
    with pytest.raises(BrokenPipeError):
        writer.put(descriptor, b"second")
    os.close(descriptor)


def test_a_pipe_that_does_not_block_is_written_to_in_whole(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    writer = Writer()
    writer.put(pipe[1], b"+" * 20_000 + b".")
    assert len(rest(pipe[0])) == 20_001
    writer.drain(PATIENCE)


def test_a_frame_is_left_out_while_the_one_before_is_not_seen(pipe: tuple[int, int]) -> None:
    writer = Writer()
    with open(os.dup(pipe[1]), "w") as stream:
        outlet = cast("TextIO", Outlet(stream, writer))
        place = LiveRegion(outlet)
        place.draw([[("first", "")]])
        assert not is_free(outlet)
        place.draw([[("second", "")]])
        writer.put(pipe[1], b".")
        seen = rest(pipe[0])
        writer.drain(PATIENCE)
        assert (b"first" in seen, b"second" in seen) == (True, False)
        place.draw([[("third", "")]])
        writer.put(pipe[1], b".")
        assert b"third" in rest(pipe[0])
        writer.drain(PATIENCE)


# --- real programs ---


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_ctrl_s_does_not_hold_up_a_download(hostile: Hostile, tmp_path: Path) -> None:
    command = client_command("-s", f"127.0.0.1:{hostile([*GREET, *SENT, *BYE]).port}", "get", "a")
    with Terminal(*command, folder=tmp_path) as terminal:
        await deferToThread(terminal.see, "50 % ")
        terminal.type(CTRL_S)
        await deferToThread(wait_until, (tmp_path / "client_downloads" / "a").exists)
        assert terminal.process.poll() is None  # what it has to say of that waits
        terminal.type(CTRL_Q)
        await deferToThread(terminal.see, r"client_downloads/a: 1\.0 kB in .*SHA-256 verified\r\n")
        assert await deferToThread(terminal.ended) == 0


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_a_prompt_on_a_terminal_that_stands_still_goes_on_with_its_download(
    hostile: Hostile, tmp_path: Path
) -> None:
    server = hostile([*GREET, *LISTED, *SENT, *BYE])
    with Terminal(*client_command("-s", f"127.0.0.1:{server.port}"), folder=tmp_path) as terminal:
        await deferToThread(terminal.see, PROMPT)
        terminal.type("get a\r")
        await deferToThread(terminal.see, "50 % ")
        terminal.stand_still()
        await deferToThread(wait_until, (tmp_path / "client_downloads" / "a").exists)
        terminal.go_on()
        await deferToThread(terminal.see, "client_downloads/a: ")
        terminal.type("\x04")
        assert await deferToThread(terminal.ended) == 0


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_events_of_progress_are_left_out_where_nobody_takes_them(
    hostile: Hostile, tmp_path: Path, pipe: tuple[int, int]
) -> None:
    command = client_command("-s", f"127.0.0.1:{hostile([*GREET, *SENT, *BYE]).port}", "--json", "get", "a")
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe[1], stderr=subprocess.DEVNULL) as process:
        await deferToThread(wait_until, (tmp_path / "client_downloads" / "a").exists)
        assert process.poll() is None
        assert (await deferToThread(until, pipe[0], b"verified")).lstrip(b"-").startswith(b'{"name": "a"')
        assert await deferToThread(process.wait, PATIENCE) == 0


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_notes_that_nobody_takes_do_not_hold_up_the_next_download(
    hostile: Hostile, tmp_path: Path, pipe: tuple[int, int]
) -> None:
    server = hostile(
        [*GREET, *LISTED, *SENT, Hear(b"get"), Send(HEADER.replace(b" a", b" b") + HALF + HALF + END), *BYE]
    )
    command = client_command("-s", f"127.0.0.1:{server.port}", "get", "a", "b")
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=pipe[1]) as process:
        await deferToThread(wait_until, (tmp_path / "client_downloads" / "b").exists)
        assert process.poll() is None
        told = await deferToThread(until, pipe[0], b"b: 1.0 kB in")
        assert b"a: 1.0 kB in" in told
        assert await deferToThread(process.wait, PATIENCE) == 0


def until(reader: int, word: bytes) -> bytes:
    """What comes, up to that word at least."""
    seen = b""
    while word not in seen:
        seen += os.read(reader, 65536)
    return seen


# --- the end of the program ---

FORGETFUL = """
import sys
from chatfile.cli import streams
with streams.installed():
    for number in range(200):
        print(f"line {number}")
    streams.forget_output()
"""


def test_what_was_shown_is_written_before_the_rest_is_forgotten(tmp_path: Path) -> None:
    with Terminal(sys.executable, "-c", FORGETFUL, folder=tmp_path) as terminal:
        terminal.see("line 199")
        assert terminal.ended() == 0
