"""Lines that are piped in: how far ahead they are read, and how much of one is kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from chatfile import errors, wire
from chatfile.cli.piped import StandardInput
from tests.support.processes import PATIENCE


class Input:
    """Standard input as it comes, `StandardInput` over it, and how many lines had been asked for at each read."""

    def __init__(self, chunks: list[bytes], patch: pytest.MonkeyPatch) -> None:
        self._chunks = iter([*chunks, b""])
        self._really = os.read
        self._came = threading.Semaphore(0)
        self.asked = 0
        self.asked_at_read: list[int] = []
        patch.setattr(os, "read", self._read)
        self.input = StandardInput(self)  # type: ignore[arg-type]
        self.input.start()

    def _read(self, descriptor: int, most: int) -> bytes:
        if descriptor != 0:
            return self._really(descriptor, most)
        self.asked_at_read.append(self.asked)
        return next(self._chunks)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        """In place of the reactor: it happens at once."""
        call(*arguments)
        self._came.release()

    def next(self) -> bytes | errors.ChatFileError | None:
        self.asked += 1
        line = self.input.next()
        assert self._came.acquire(timeout=PATIENCE)
        return line.result

    def __iter__(self) -> Iterator[bytes | errors.ChatFileError | None]:
        return iter(self.next, None)


def test_no_more_is_read_before_every_line_that_came_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = Input([b"a\nb\n", b"c\nd", b"d\ne\n", b"f"], monkeypatch)
    assert list(piped) == [b"a", b"b", b"c", b"dd", b"e", b"f"]
    assert all(asked >= came for asked, came in zip(piped.asked_at_read, [0, 2, 3, 5, 5], strict=True))


@pytest.mark.parametrize(
    "pieces",
    [
        [b"x" * 65536] * 20,
        ["é".encode() * 32768] * 20,
        [b"\0" * 65536] * 20,
        [b"x" * 5000] * 20,
        [b"x" * wire.MAX_REQUEST + b"\r", b"x"],
    ],
    ids=["ascii", "other", "binary", "short", "almost an end"],
)
def test_of_a_line_without_end_no_more_is_kept_than_tells_that_it_is_too_long(
    monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]
) -> None:
    first, second = Input([*pieces, b"\nhello\n"], monkeypatch)
    assert isinstance(first, bytes)
    assert len(first) < 2 * 65536
    with pytest.raises(errors.LineTooLong):
        wire.parse_request(first.removesuffix(b"\r"))
    assert second == b"hello"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_longest_line_comes_whole_however_it_is_cut(monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    line = b"x" * wire.MAX_REQUEST + end
    (came,) = Input([line[:100], line[100:4095], line[4095:]], monkeypatch)
    assert came == line.removesuffix(b"\n")
