"""HTTP for a page that strangers can reach: few connections, small requests, no file, no state, nothing echoed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, resource, server

from chatfile.server import EvictionRank, UnseatedConnections
from chatfile.transports import describe_client, take_small_turns

IDLE_TIMEOUT = 15.0
"""Seconds in which a client may say nothing."""
_TEXT = b"text/plain; charset=utf-8"
_HEADERS = {
    b"Cache-Control": b"no-store",
    b"X-Content-Type-Options": b"nosniff",
    b"Referrer-Policy": b"no-referrer",
    b"Server": b"chatfile",
}
"""Those of every answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    body: bytes
    content_type: bytes = _TEXT
    code: int = http.OK
    headers: tuple[tuple[bytes, bytes], ...] = ()


Answering = Callable[[server.Request], Awaitable[Answer]]
NOT_FOUND = Answer(b"Not found; there are /metrics, /health and /.\n", code=http.NOT_FOUND)
_NOT_ALLOWED = Answer(b"Only GET and HEAD.\n", code=http.NOT_ALLOWED, headers=((b"Allow", b"GET, HEAD"),))
_FAULT = Answer(b"A fault of the server's own; the log says more.\n", code=http.INTERNAL_SERVER_ERROR)


class MetricsResource(resource.Resource):
    """Answers GET and HEAD at some paths, each by a coroutine function of its own."""

    isLeaf = True
    log = Logger()

    def __init__(self, answers: Mapping[bytes, Answering]) -> None:
        """Answer at the paths of `answers`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._answers = answers

    def render(self, request: server.Request) -> int:
        """Begin to answer."""
        answering = Deferred.fromCoroutine(self._respond(request))
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(self._fail, request)
        return server.NOT_DONE_YET

    async def _respond(self, request: server.Request) -> None:
        if request.method not in (b"GET", b"HEAD"):
            _send(request, _NOT_ALLOWED)
        elif request.path not in self._answers:
            _send(request, NOT_FOUND)
        else:
            _send(request, await self._answers[request.path](request))

    def _fail(self, failure: Failure, request: server.Request) -> None:
        if failure.check(CancelledError) is None:  # else the client has gone
            self.log.failure("Answering at {path}", failure, path=request.path)
            _send(request, _FAULT)


def _send(request: server.Request, answer: Answer) -> None:
    request.setResponseCode(answer.code)
    length = (b"Content-Length", b"%d" % len(answer.body))
    for name, value in (*_HEADERS.items(), *answer.headers, (b"Content-Type", answer.content_type), length):
        request.setHeader(name, value)
    request.write(answer.body)
    request.finish()


class MetricsRequest(server.Request):
    """A request whose body, if it has one, is dropped; Twisted's own would keep any length of it, on the disk."""

    channel: MetricsChannel
    LONGEST_BODY = 64 * 1024
    """Bytes; a client that sends more is reset."""

    def gotLength(self, length: int | None) -> None:  # noqa: ARG002 -- what is said of a length does not matter
        """Keep no body."""
        self.content = BytesIO()
        self._dropped = 0

    def handleContentChunk(self, data: bytes) -> None:
        """Drop a part of the body."""
        self._dropped += len(data)
        if self._dropped > self.LONGEST_BODY:
            self.channel.abort()


class MetricsChannel(http.HTTPChannel):
    """A connection, which has to go when there are too many; then those of the host that has most go first."""

    factory: MetricsSite
    transport: Any

    def connectionMade(self) -> None:
        """Take turns with the clients of the server."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        take_small_turns(self.transport)
        self.factory.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Make room for another."""
        self.factory.discard(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def checkPersistence(self, request: http.Request, version: bytes) -> bool:  # noqa: ARG002 -- for all versions
        """Answer one request: all those that are sent at once would be answered at once, before anybody else's turn."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def eviction_rank(self) -> EvictionRank:
        """See `UnseatedConnection`: none has more to lose than another."""
        return EvictionRank.NOTHING

    def abort(self) -> None:
        """Reset the connection."""
        self.transport.abortConnection()


class MetricsSite(server.Site):
    """Makes the connections, of which there are not many, so that nobody can use up the process's descriptors."""

    noisy = False
    protocol: Any = MetricsChannel

    def __init__(self, answers: Mapping[bytes, Answering], clock: IReactorTime, most: int) -> None:
        """Answer at the paths of `answers`, with at most so many connections at once."""
        super().__init__(  # type: ignore[no-untyped-call]
            MetricsResource(answers), MetricsRequest, timeout=IDLE_TIMEOUT, reactor=clock
        )
        self._open: set[MetricsChannel] = set()
        self._bound = UnseatedConnections(most)

    def startFactory(self) -> None:
        """Write no access log: there would be a line for every scrape."""

    def acceptableProtocols(self) -> list[bytes]:
        """Speak no HTTP/2, whose streams are not bounded here."""
        return [b"http/1.1"]

    def add(self, channel: MetricsChannel) -> None:
        """Take in a new connection, and reset another if there are too many now."""
        self._open.add(channel)
        _, host = describe_client(channel.transport.getPeer())
        self._bound.add(channel, host)

    def discard(self, channel: MetricsChannel) -> None:
        """Forget a connection that is gone."""
        self._open.discard(channel)
        self._bound.discard(channel)

    def close(self) -> None:
        """Reset all connections."""
        for channel in list(self._open):
            channel.abort()
