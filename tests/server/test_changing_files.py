"""A file that changes at any point of a conversation: exact, or a failure that says so; never padded, never short and
clean, never out of step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from chatfile.digests import Digests
from chatfile.sending.copying import CopyingSender
from chatfile.sending.zerocopy import ZeroCopySender
from tests.support.changes import ALL, CHANGES, CONTENT, PIECE, POINTS, Change, Point, Seen
from tests.support.exchanges import BY_BOTH_WAYS, Answer, Copied, Exchange, assert_goes_on, exchanging
from tests.support.serving import sha256

OFFSET = PIECE * 3 // 2
EVERY_CHANGE = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
GET_AND_RESUME = pytest.mark.parametrize(
    "offset", [pytest.param(0, id="get"), pytest.param(OFFSET, id="resume", marks=pytest.mark.slow)]
)


def _expected(seen: Seen, point: Point, offset: int) -> str:
    if seen is Seen.CUT and point.sent * PIECE < len(CONTENT) - offset:
        return "reset"
    has_digest = seen is Seen.SAME or point.hashed == ALL or (seen is Seen.LONGER and point.hashed == 0)
    return "END" if has_digest else "changed"


def _reach(exchange: Exchange, point: Point, count: int, change: Callable[[], object]) -> None:
    """Let `change` happen at that point of sending `count` bytes."""
    tell = exchange.threads.run_in_silence()
    if point.has_begun:
        tell()
        exchange.sends(min(point.sent * PIECE, count))
        exchange.hashes(point.hashed)
    change()
    if not point.has_begun:
        tell()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch, no_file_is_small: None) -> None:
    for mover, size in ((CopyingSender, "PIECE"), (ZeroCopySender, "TURN"), (Digests, "CHUNK"), (Digests, "TURN")):
        monkeypatch.setattr(mover, size, PIECE)


def _request(offset: int) -> bytes:
    return b"resume %d a\nhello\n" % offset if offset else b"get a\nhello\n"


@BY_BOTH_WAYS
@EVERY_CHANGE
@GET_AND_RESUME
def test_a_file_that_changes_under_way_is_exact_or_a_failure(
    tmp_path: Path, kind: type[Exchange], change: Change, offset: int, logged_errors: list[str]
) -> None:
    for when, point in POINTS.items():
        with exchanging(kind, tmp_path / when, CONTENT) as exchange:
            exchange.asks(_request(offset))
            _reach(exchange, point, len(CONTENT) - offset, partial(change.act, tmp_path / when / "a"))
            answer = exchange.ends()
            assert answer.outcome == _expected(change.seen, point, offset), when
            _assert_exact(answer, change, offset)
            assert_goes_on(exchange)
    logged_errors.clear()


def _assert_exact(answer: Answer, change: Change, offset: int) -> None:
    assert (len(answer.body) < len(CONTENT) - offset) == (answer.outcome == "reset")
    if change.seen is Seen.SAME:
        assert (answer.body, answer.proof) == (CONTENT[offset:], sha256(CONTENT))
    whole = CONTENT[:offset] + answer.body
    assert whole in change.contents or answer.proof != sha256(whole), "a client would take it for verified"


@EVERY_CHANGE
@GET_AND_RESUME
def test_a_file_that_changes_before_it_is_opened_is_what_it_is_then(
    tmp_path: Path, change: Change, offset: int
) -> None:
    with exchanging(Copied, tmp_path / "files", CONTENT) as exchange:
        exchange.asks(_request(offset))
        change.act(tmp_path / "files" / "a")
        answer = exchange.ends()
        assert answer == _fresh(change.fresh, offset)
        assert_goes_on(exchange)


def _fresh(content: bytes | str, offset: int) -> Answer:
    if isinstance(content, str):
        return Answer(content)
    return Answer("END", content[offset:], sha256(content)) if offset <= len(content) else Answer("bad-offset")


@EVERY_CHANGE
def test_a_file_that_changes_while_it_is_hashed_has_the_digest_of_one_content_or_none(
    tmp_path: Path, change: Change
) -> None:
    for turns in range(ALL):
        with exchanging(Copied, tmp_path / str(turns), CONTENT) as exchange:
            exchange.asks(b"hash a\nhello\n")
            _reach(exchange, Point(hashed=turns), 0, partial(change.act, tmp_path / str(turns) / "a"))
            answer = exchange.ends()
            outcome = _expected(change.seen, Point(ALL, turns), 0).replace("END", "HASH")
            assert answer.outcome == outcome, turns
            assert answer.proof in (b"", *map(sha256, change.contents))
            assert_goes_on(exchange)
