"""What a server says, held against what was asked of it and what it has to serve."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from chatfile import errors, wire
from tests.support.serving import sha256
from tests.support.shelf import Shelf

Listening = Generator[None, None, None]
GOODBYES = (b"ERROR timeout ", b"ERROR shutdown ", b"ERROR full ")


@dataclass
class Asked:
    """A line, and the moment of the shelf at which it was said."""

    line: bytes
    moment: int


class Judge:
    """Believes nothing: each reply comes in its turn, complete, and is right."""

    def __init__(self, shelf: Shelf, excused: frozenset[str] = frozenset()) -> None:
        """Take errors of the codes that are `excused` without a reason: those of a disk that fails."""
        self.name = ""
        self.goodbye = b""
        """The line behind which nothing may come."""
        self.files = self.bytes = 0
        self.asked: list[Asked] = []
        """What is not answered yet."""
        self._shelf = shelf
        self._excused = excused
        self._heard = b""
        self._listening = self._listen()

    def hears(self, data: bytes) -> None:
        self._heard += data
        next(self._listening)

    @property
    def is_between_replies(self) -> bool:
        """Whether everything that was heard is understood."""
        return self._heard == b""

    def is_getting_what_is_damaged(self) -> bool:
        """Whether a file that was asked for was written to in place."""
        return any(
            isinstance(request, wire.Get | wire.Resume) and self._shelf.is_damaged(asked.moment, request.name)
            for asked in self.asked
            for request in [_request(asked.line)]
        )

    # --- piece by piece ---

    def _line(self) -> Generator[None, None, bytes]:
        while b"\n" not in self._heard:
            yield
        line, self._heard = self._heard.split(b"\n", 1)
        return line

    def _body(self, count: int) -> Generator[None, None, bytes]:
        while len(self._heard) < count:
            yield
        body, self._heard = self._heard[:count], self._heard[count:]
        return body

    def _listen(self) -> Listening:
        yield from self._greeting()
        while not self.goodbye:
            first = yield from self._line()
            if not self._is_goodbye(first):
                assert self.asked, f"{first!r} unasked"
                yield from self._answer(first, self.asked[0])
                del self.asked[0]
        if self.goodbye.startswith(b"ERROR full "):  # one that may ask for a place in the line is kept for a while
            assert self._is_goodbye((yield from self._line()))
        while True:
            assert self._heard == b"", "nothing follows a goodbye"
            yield

    def _is_goodbye(self, line: bytes) -> bool:
        if line.startswith(GOODBYES):
            self.goodbye = line
        return bool(self.goodbye)

    def _greeting(self) -> Listening:
        line = yield from self._line()
        if not self._is_goodbye(line):
            self.name = wire.parse_reply(line, wire.Welcome).name

    def _answer(self, first: bytes, asked: Asked) -> Listening:
        request = _request(asked.line)
        if isinstance(request, errors.Refusal):
            assert _code(first) == request.code
        elif not self._is_excused(first):
            yield from self._ANSWERS[type(request)](self, first, request, asked)

    def _is_excused(self, line: bytes) -> bool:
        return line.startswith(b"ERROR ") and _code(line) in self._excused

    # --- reply by reply ---

    def _message(self, first: bytes, request: wire.Message, _: Asked) -> Listening:
        assert first == wire.format_reply(wire.Ack(request.text))
        yield from ()

    def _exit(self, first: bytes, _request: wire.Exit, _: Asked) -> Listening:
        assert wire.parse_reply(first, wire.Bye).name == self.name
        self.goodbye = first
        yield from ()

    def _help(self, first: bytes, _request: wire.Help, _: Asked) -> Listening:
        rows = yield from self._rows(wire.parse_reply(first, wire.HelpHeader).count)
        assert [row.decode() for row in rows] == list(wire.HELP)

    def _status(self, first: bytes, _request: wire.Status, _: Asked) -> Listening:
        rows = yield from self._rows(wire.parse_reply(first, wire.StatusHeader).count)
        visits = [wire.parse_reply(row, wire.ClientRow) for row in rows]
        assert [visit.name for visit in visits] == sorted({visit.name for visit in visits})
        assert [visit.disconnected for visit in visits if visit.name == self.name] == [None]

    def _list(self, first: bytes, _request: wire.List, asked: Asked) -> Listening:
        rows = yield from self._rows(wire.parse_reply(first, wire.ListHeader).count)
        files = [wire.parse_reply(row, wire.FileRow) for row in rows]
        assert files == sorted(files, key=lambda file: file.name)
        if asked.moment == self._shelf.moment:
            assert files == self._shelf.rows()

    def _rows(self, count: int) -> Generator[None, None, list[bytes]]:
        rows: list[bytes] = []
        while len(rows) < count:
            rows += [(yield from self._line())]
        return rows

    # --- files ---

    def _file(self, first: bytes, request: wire.Get | wire.Resume, asked: Asked) -> Listening:
        offset = request.offset if isinstance(request, wire.Resume) else 0
        if first.startswith(b"ERROR "):
            self._check_refusal(first, request.name, offset, asked)
            return
        header = wire.parse_reply(first, wire.FileHeader)
        assert header.name == request.name
        body = yield from self._body(header.size)
        self.bytes += len(body)
        end = yield from self._line()
        if not self._is_goodbye(end):
            self._check_file(header, offset, body, end, asked)

    def _check_refusal(self, said: bytes, name: str, offset: int, asked: Asked) -> None:
        versions = self._shelf.since(asked.moment, name)
        reasons = {"no-such-file" for content in versions if content is None}
        reasons |= {"bad-offset" for content in versions if content is not None and offset > len(content)}
        assert _code(said) in reasons

    def _check_file(self, header: wire.FileHeader, offset: int, body: bytes, end: bytes, asked: Asked) -> None:
        versions = self._shelf.since(asked.moment, header.name)
        if end.startswith(b"ERROR "):
            assert _code(end) == "changed"
            is_damaged = self._shelf.is_damaged(asked.moment, header.name)
            assert is_damaged or self._is_excused(end), "a file that is whole is delivered"
            return
        self.files += 1
        digest = (wire.parse_reply(end, wire.End).sha256 or "").encode()
        if len(versions) == 1:
            assert header == wire.FileHeader(len(body), self._shelf.mtime(header.name), header.name)
            assert body == (versions[0] or b"")[offset:]
            assert digest == sha256(versions[0] or b"")
        else:
            _check_what_a_client_accepts(versions, offset, body, digest)

    def _hash(self, first: bytes, request: wire.Hash, asked: Asked) -> Listening:
        versions = self._shelf.since(asked.moment, request.name)
        if first.startswith(b"ERROR changed "):
            assert self._shelf.is_damaged(asked.moment, request.name)
        elif first.startswith(b"ERROR "):
            self._check_refusal(first, request.name, 0, asked)
        else:
            said = wire.parse_reply(first, wire.Digest)
            known = [content for content in versions if content is not None]
            right = {sha256(content[: said.size]).decode() for content in known}
            assert said.sha256 in right
        yield from ()

    _ANSWERS: ClassVar[dict[type, Callable[[Judge, bytes, Any, Asked], Listening]]] = {
        wire.Message: _message,
        wire.Exit: _exit,
        wire.Help: _help,
        wire.Status: _status,
        wire.List: _list,
        wire.Get: _file,
        wire.Resume: _file,
        wire.Hash: _hash,
    }


def _check_what_a_client_accepts(versions: list[bytes | None], offset: int, body: bytes, digest: bytes) -> None:
    """The client has the first `offset` bytes of any of the versions."""
    known = [content for content in versions if content is not None]
    for begun in {content[:offset] for content in known}:
        if sha256(begun + body) == digest:
            assert any(content.startswith(begun + body) for content in known), "no such file ever was"


def _request(line: bytes) -> wire.Request | errors.Refusal:
    try:
        return wire.parse_request(line)
    except errors.Refusal as refusal:
        return refusal


def _code(line: bytes) -> str:
    return wire.parse_reply(line, wire.Error).code
