"""A disk that fails: the client is told, or reset; and everything is whole again when that is over."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import pytest

from chatfile.digests import Digests
from chatfile.sending import memory
from chatfile.sending.copying import CopyingSender
from chatfile.sending.zerocopy import ZeroCopySender
from tests.support.exchanges import Answer, Copied, Exchange, WithinTheSystem, assert_goes_on, exchanging
from tests.support.processes import ServerProcess
from tests.support.serving import sha256
from tests.support.tracing import traced

CONTENT = bytes(range(251)) * 16
PIECE = 1000
WHOLE = Answer("END", CONTENT, sha256(CONTENT))
UNAVAILABLE = Answer("unavailable")


# --- calls of the system that fail ---


class Failing:
    """A call of `os` that fails once, the `nth` time that it is made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, number: int, nth: int = 1) -> None:
        self._really: Callable[..., Any] = getattr(os, call)
        self._error = OSError(number, os.strerror(number), "/secret/path")
        self.left = nth
        update_wrapper(self, self._really)
        monkeypatch.setattr(os, call, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise self._error
        return self._really(*arguments, **named)


NOT_NOW = [errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE]
REQUESTS = [b"get a", b"resume 10 a", b"hash a"]


@pytest.mark.parametrize("number", NOT_NOW, ids=errno.errorcode.get)
@pytest.mark.parametrize("request_line", REQUESTS)
@pytest.mark.parametrize(
    ("call", "nth"), [("open", 1), ("open", 2), ("stat", 1), ("fstat", 1), ("set_blocking", 1)], ids=str
)
def test_a_file_that_can_not_be_opened_now_is_unavailable_and_can_be_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_line: bytes, call: str, nth: int, number: int
) -> None:
    with exchanging(Copied, tmp_path / "files", CONTENT) as exchange:
        with monkeypatch.context() as patch:
            failing = Failing(patch, call, number, nth)
            assert exchange.fetch(request_line) == UNAVAILABLE
            assert failing.left == 0
        assert b"secret" not in exchange.received
        assert exchange.fetch(b"get a") == WHOLE


HASHING = pytest.mark.parametrize(("call", "nth"), [("dup", 1), ("preadv", 1), ("preadv", 3), ("fstat", 2)], ids=str)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch, no_file_is_small: None) -> None:
    for mover, size in ((CopyingSender, "PIECE"), (ZeroCopySender, "TURN"), (Digests, "CHUNK")):
        monkeypatch.setattr(mover, size, PIECE)


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing tells what is in memory, so that each piece is one call."""
    monkeypatch.setattr(memory, "_NOWAIT", None)


@HASHING
@pytest.mark.parametrize(
    ("request_line", "told"), [(b"get a", Answer("changed", CONTENT)), (b"hash a", UNAVAILABLE)], ids=["get", "hash"]
)
@pytest.mark.usefixtures("small_pieces", "untold")
def test_a_file_that_can_not_be_hashed_comes_whole_and_unverified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_line: bytes, told: Answer, call: str, nth: int
) -> None:
    with exchanging(Copied, tmp_path / "files", CONTENT) as exchange:
        with monkeypatch.context() as patch:
            Failing(patch, call, errno.EIO, nth)
            assert exchange.fetch(request_line) == told
        assert exchange.fetch(b"get a") == WHOLE


@pytest.mark.parametrize("request_line", [b"get a", b"resume 10 a"])
@pytest.mark.parametrize("nth", [1, 2, 5])
@pytest.mark.parametrize(("kind", "call"), [(Copied, "pread"), (WithinTheSystem, "sendfile")])
@pytest.mark.usefixtures("small_pieces", "untold")
def test_a_file_that_can_not_be_read_on_is_a_reset_and_one_line_in_the_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Exchange],
    call: str,
    nth: int,
    request_line: bytes,
    logged_errors: list[str],
) -> None:
    with exchanging(kind, tmp_path / "files", CONTENT) as exchange:
        Failing(monkeypatch, call, errno.EIO, nth)
        broken = exchange.fetch(request_line)
        assert (broken.outcome, len(broken.body) < len(CONTENT) - 10) == ("reset", True)
        assert_goes_on(exchange)
    assert len(logged_errors) == 1
    logged_errors.clear()


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize(("kind", "call", "count_at"), [(Copied, "pread", 1), (WithinTheSystem, "sendfile", 3)])
def test_a_system_that_gives_little_at_a_time_gives_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exchange], call: str, count_at: int
) -> None:
    really = getattr(os, call)

    def little(*arguments: Any) -> Any:
        return really(*arguments[:count_at], min(100, arguments[count_at]), *arguments[count_at + 1 :])

    monkeypatch.setattr(os, call, little)
    with exchanging(kind, tmp_path / "files", CONTENT) as exchange:
        assert exchange.fetch(b"get a") == WHOLE


# --- a system that fails in earnest ---


@pytest.fixture
def served(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "big").write_bytes(bytes(20_000_000))
    return served


def test_a_disk_that_fails_in_earnest_is_told_or_resets_one_transfer_and_nobody_else(served: Path) -> None:
    with ServerProcess(served) as server, server.greeted() as other:
        with server.greeted() as client:
            with traced(server, "-o", os.devnull, "--inject=preadv,preadv2:error=EIO"):
                assert client.ask(b"hash big").startswith(b"ERROR unavailable ")
            server.may_fail = True
            with traced(server, "-o", os.devnull, "--inject=sendfile:error=EIO:when=2"):
                client.send(b"get big\n")
                with pytest.raises(ConnectionResetError):
                    client.rest()
        assert other.ask(b"hash big").startswith(b"HASH ")
        server.log_until("is cut off")
    assert "Traceback" not in server.log
