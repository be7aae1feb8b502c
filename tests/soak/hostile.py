"""Clients that want a seat for longer than is granted: each is cut, neither too early nor too late."""

from __future__ import annotations

import time
from random import Random

from chatfile import errors, wire
from chatfile.lines import LineProtocol
from tests.soak.files import BIG, SMALL
from tests.soak.limits import check_in_time
from tests.soak.stage import RawTurn, Stage
from tests.soak.waiting import await_hangup, await_reset, send_until_reset, until_answered

TINY = 4096
"""Bytes of a receive buffer that is soon full."""


def _told(refusal: errors.Refusal) -> bytes:
    """The last line before a close: it says which clock has rung."""
    return wire.format_reply(wire.Error(refusal.code, str(refusal)))


def silent(stage: Stage, _: Random) -> None:
    """Never says a word."""
    began = time.monotonic()
    with stage.seated() as client:
        assert client.line() == _told(errors.IdleTimeout(seconds=stage.limits.idle))
        check_in_time(began, stage.limits.idle)


def trickling(stage: Stage, _: Random) -> None:
    """Says a line byte by byte."""
    with stage.seated() as client:
        began = time.monotonic()
        client.send(b"x")
        for _again in until_answered(client, stage.limits.line / 20):
            client.send(b"x")
        assert client.line() == _told(errors.IdleTimeout.amid_line(seconds=stage.limits.line))
        check_in_time(began, stage.limits.line)


def endless(stage: Stage, _: Random) -> None:
    """Says a line that does not end."""
    with stage.seated() as client:
        began = time.monotonic()
        client.send(b"x" * 5000)
        assert client.line().startswith(b"ERROR line-too-long ")
        for _again in until_answered(client, 0.02):
            client.send(b"x" * 16384)
        assert client.line() == _told(errors.IdleTimeout.amid_line(seconds=stage.limits.line))
        check_in_time(began, stage.limits.line)


def stalling(stage: Stage, rng: Random) -> None:
    """Reads a part of a file and then no more."""
    with stage.seated() as client:
        began = time.monotonic()
        client.send(f"get {BIG}\n".encode())
        client.read(rng.randrange(1_000_000))
        await_reset(client)
        check_in_time(began, stage.limits.stall)


def flooding(stage: Stage, _: Random) -> None:
    """Says line after line and reads no answer."""
    with stage.seated(receive_buffer=TINY) as client:
        began = time.monotonic()
        send_until_reset(client, b"hello\n" * 1000)
        check_in_time(began, stage.limits.stall)


def leaving(stage: Stage, _: Random) -> None:
    """Says goodbye and never reads what is still to come."""
    with stage.seated(receive_buffer=TINY) as client:
        began = time.monotonic()
        client.send(f"get {SMALL}\nexit\n".encode())
        await_reset(client)
        check_in_time(began, stage.limits.flush)


def clinging(stage: Stage, _: Random) -> None:
    """Says goodbye, reads everything, and never closes."""
    with stage.seated() as client:
        began = time.monotonic()
        client.send(b"exit\n")
        assert client.rest().startswith(b"BYE ")
        await_hangup(client)
        check_in_time(began, LineProtocol.LINGER)


HOSTILE: list[RawTurn] = [silent, trickling, endless, stalling, flooding, leaving, clinging]
