"""Peers that are no programs of ours: they flood, trickle, fall silent, read nothing, and go in every way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import wire
from tests.support.judging import Asked, Judge
from tests.world.network import End
from tests.world.plan import LOCKED_OUT, NAMES

if TYPE_CHECKING:
    from tests.world.world import World

LINES = (b"hello", b"", b"gr\xc3\xbc\xc3\x9fe", b"status please", b"m" * 900, b"\x1b", b"\xe9", b"get", b"resume x a",
         b"l" * 4200, b"list", b"Status", b"help", b"hash .fresh", b"get ../a")  # fmt: skip
FETCHES = tuple(f"{how} {name}".encode() for how in ("get", "get", "resume 500", "hash") for name in NAMES)
EXCUSES = frozenset({"unavailable", "changed"})


@implementer(IHalfCloseableProtocol)
class RawPeer(Protocol):
    """Sends bytes, and gives those that come to a `Judge`, which believes nothing."""

    def __init__(self, judge: Judge, has_ended: Callable[[Failure], None]) -> None:
        self.judge = judge
        self.is_gone = False
        self._has_ended = has_ended

    def dataReceived(self, data: bytes) -> None:
        self.judge.hears(data)

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """It said that it would say no more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_gone = True
        self._has_ended(reason)


class Rude:
    """One of them, with some of their manners."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.choose = world.schedule.random
        self.is_over = False
        self._reads_all = True
        self._unfinished = b""

    def end(self) -> None:
        """It has no threads."""

    async def act(self) -> None:
        disk = self.world.plan.server_disk
        judge = Judge(self.world.shelf, EXCUSES if disk.is_bad else frozenset())
        self.peer = RawPeer(judge, self._check_the_end)
        try:
            await self.world.endpoint.connect(Factory.forProtocol(lambda: self.peer))
        except ConnectError:
            return  # nobody listens
        for _ in range(self.choose.randint(1, 6)):
            if self.peer.is_gone:
                break
            self._do_something()
            await self.world.schedule.sleep(self.world.schedule.soon(1.5))
        self._end()
        if not self.peer.is_gone and not self.world.plan.rate and not self.world.plan.server_disk.is_bad:
            self._watch(self.peer.transport.other)

    def _watch(self, end: End, taken: int = -1) -> None:
        """From now on, it has its connection for as long only as it takes something now and then."""
        if not end.is_lost:
            self.world.promises.hold(end.taken != taken, "never locked out", f"{self.name} is still there")
            self.world.schedule.later(LOCKED_OUT, self._watch, end, end.taken)

    def _do_something(self) -> None:
        what = self.choose.choice(("says", "says", "says", "fetches", "fetches", "stops reading", "reads", "floods"))
        self.world.schedule.note("rude", self.name, what)
        getattr(self, f"_{what.replace(' ', '_')}")()

    def _end(self) -> None:
        what = self.choose.choice(("ends", "ends", "aborts", "vanishes", "is silent", "exits"))
        self.world.schedule.note("rude", self.name, what)
        if not self.peer.is_gone:
            getattr(self, f"_{what.replace(' ', '_')}")()

    # --- what it says ---

    def _send(self, data: bytes) -> None:
        """What ends with a line's end asks for something."""
        if self.peer.is_gone or self.peer.transport.closed_at is not None:
            return
        *ended, rest = data.split(b"\n")
        for line in ended:
            self._begin(line)
            if not self._is_too_long():
                self._ask()
            self._unfinished = b""
        self._begin(rest)
        self.peer.transport.write(data)

    def _begin(self, text: bytes) -> None:
        """A line that is too long is answered before it ends, once."""
        was_too_long = self._is_too_long()
        self._unfinished += text
        if self._is_too_long() and not was_too_long:
            self._ask()

    def _is_too_long(self) -> bool:
        return len(self._unfinished) > wire.MAX_REQUEST

    def _ask(self) -> None:
        self.peer.judge.asked.append(Asked(self._unfinished.removesuffix(b"\r"), self.world.shelf.moment))

    def _says(self) -> None:
        said = b"\n".join(self.choose.choices(LINES, k=self.choose.randint(1, 4)))
        self._send(said + b"\n" * self.world.schedule.chance(0.8))

    def _fetches(self) -> None:
        self._send(b"\n" + b"\n".join(self.choose.choices(FETCHES, k=self.choose.randint(1, 5))) + b"\n")

    def _floods(self) -> None:
        self._send(b"\nflood\nhelp\nstatus" * self.choose.randint(1, 200) + b"\n")

    def _stops_reading(self) -> None:
        self._reads_all = False
        if self.peer.transport.producerState == "producing" and not self.peer.transport.disconnecting:
            self.peer.transport.pauseProducing()

    def _reads(self) -> None:
        if not self.peer.transport.disconnecting:
            self.peer.transport.resumeProducing()

    # --- how it goes ---

    def _ends(self) -> None:
        """It half-closes, and reads what it asked for."""
        if self.peer.transport.closed_at is None:
            if self._unfinished and not self._is_too_long():
                self._ask()
            self._reads()
            self.peer.transport.loseWriteConnection()

    def _exits(self) -> None:
        """It goes on talking behind its goodbye, which nobody listens to."""
        self._send(b"\nhelp\nexit\n" + b"and more\n" * self.choose.choice((0, 500)))

    def _aborts(self) -> None:
        self._reads_all = False
        self.peer.transport.abortConnection()

    def _vanishes(self) -> None:
        self.peer.transport.path.break_silently()

    def _is_silent(self) -> None:
        """It stays, with its line unfinished or not, reading or not."""

    # --- how it ends ---

    def _check_the_end(self, reason: Failure) -> None:
        """One that reads hears everything that it asked for, and is not reset without a reason."""
        world, judge = self.world, self.peer.judge
        if not self._reads_all or self.peer.transport.path.is_disturbed or world.host.has_drained:
            return
        if judge.goodbye or not judge.asked:
            world.promises.hold(judge.is_between_replies, "loses nothing", f"{self.name} heard the half of a reply")
        elif reason.check(ConnectionDone):
            world.promises.hold(False, "loses nothing", f"{self.name} was not told of {len(judge.asked)} requests")
        else:
            excused = judge.is_getting_what_is_damaged() or world.plan.server_disk.is_bad
            excused = excused or (world.plan.evicts and not judge.name)
            world.promises.hold(excused, "loses nothing", f"{self.name} was reset")
