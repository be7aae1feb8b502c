"""The connection to the engine, in memory: an engine that answers as the test says, or does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from chatfile import errors
from chatfile.cluster import Engine, SharedAdmission, keys, pages, scripts
from chatfile.cluster.address import EngineAddress
from chatfile.cluster.engine import EngineAway, patience
from tests.support.coroutines import run_at_once

LEASE = 6.0
PASSWORD = "s3cret"
NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\r\n", b"*x\r\n", b"$x\r\n", b":x\r\n", b"+\xff\r\n",
    b"*3\r\n:1\r\n$-1\r\n+x\r\n", b"+" + 20000 * b"x", b":17\r\n", b"$3\r\nfoo\r\n", b"*0\r\n", b"+\r\n",
    b"+seat x y\r\n", b"+seat 1\r\n", b"+joined 1 x\r\n",
    b"$-1\r\n", b"-\r\n", b"+next 1\r\n+next 1\r\n", b"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
]  # fmt: skip

Answer = Callable[[list[str]], bytes | None]


class Link(StringTransport):
    """One connection: what is written to it is answered in the next turn, or never."""

    def __init__(self, engine: FakeEngine, protocol: Any) -> None:
        super().__init__()
        self.engine, self.protocol = engine, protocol
        self.is_up = True

    def write(self, data: bytes) -> None:
        for words in commands(data):
            self.engine.asked.append(words)
            answer = self.engine.answer(words)
            if answer is not None:
                self.engine.clock.callLater(0, self.deliver, answer)

    def deliver(self, data: bytes) -> None:
        if self.is_up:
            self.protocol.dataReceived(data)

    def abortConnection(self) -> None:
        self.engine.clock.callLater(0, self.lose, ConnectionAborted())

    def lose(self, why: Exception | None = None) -> None:
        if self.is_up:
            self.is_up = False
            self.protocol.connectionLost(Failure(why or ConnectionDone()))


@implementer(IStreamClientEndpoint)
class FakeEngine:
    """Answers as an engine that has nobody inside, and gives seats; each test changes what it wants to."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.links: list[Link] = []
        self.asked: list[list[str]] = []
        self.is_there = True
        self.answer: Answer = self.well
        self.seats = 0

    def connect(self, factory: Any) -> Deferred[Protocol]:
        if not self.is_there:
            return fail(ConnectError())
        protocol = factory.buildProtocol(None)
        self.links.append(Link(self, protocol))
        protocol.makeConnection(self.links[-1])
        return succeed(protocol)

    def well(self, words: list[str]) -> bytes:
        """What a real one says."""
        known = {"AUTH": b"+OK\r\n", "SELECT": b"+OK\r\n", "ROLE": b"*1\r\n$6\r\nmaster\r\n"}
        if words[0] in known:
            return known[words[0]]
        if words[0] == "INFO":
            return b"$15\r\nrun_id:0123abcd\r\n"
        if words[0] == "EVALSHA":
            return b"-NOSCRIPT No matching script.\r\n"
        return self.said(words[1])

    def said(self, script: str) -> bytes:
        if script == scripts.ADMIT:
            self.seats += 1
            return b"+seat %d 1795348800\r\n" % self.seats
        said = {scripts.JOIN: b"joined", scripts.BEAT: b"next 0", scripts.RELEASE: b"released", scripts.LEAVE: b"left"}
        return b"+%b\r\n" % said.get(script, b"")

    def scripts_run(self, script: str) -> list[list[str]]:
        return [words for words in self.asked if words[:2] == ["EVAL", script]]


def commands(data: bytes) -> Iterator[list[str]]:
    rest = data
    while rest:
        count, rest = re.match(rb"\*(\d+)\r\n", rest).group(1), rest.partition(b"\r\n")[2]  # type: ignore[union-attr]
        words = []
        for _ in range(int(count)):
            size, _, rest = rest.partition(b"\r\n")
            words.append(rest[: int(size[1:])].decode())
            rest = rest[int(size[1:]) + 2 :]
        yield words


class Node:
    """One node's admission at that engine."""

    def __init__(self, address: EngineAddress | None = None, *, limit: int = 3) -> None:
        self.clock = Clock()
        self.fake = FakeEngine(self.clock)
        address = address or EngineAddress((("engine", 6379),))
        self.engine = Engine(
            address, self.fake, self.clock, keys=keys("chatfile"), node="n0de", lease=LEASE, history=1000
        )  # fmt: skip
        self.admission = SharedAdmission(
            self.engine, self.clock, lambda: 0.0, lease=LEASE, limit=limit, limit_per_address=0, capacity=1000
        )
        self.log: list[str] = []
        globalLogPublisher.addObserver(self._keep)

    def _keep(self, event: LogEvent) -> None:
        if event.get("event") == "engine":
            self.log.append(formatEvent(event))

    def start(self) -> None:
        self.admission.start()
        self.turn()

    def turn(self) -> None:
        """What is due now is done; no time passes."""
        self.clock.pump([0.0] * 30)

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.05] * round(seconds * 20))

    def ask(self) -> Deferred[Any]:
        asked = Deferred.fromCoroutine(self.admission.admit("10.0.0.1:5", "10.0.0.1"))
        self.turn()
        return asked

    def end(self) -> None:
        globalLogPublisher.removeObserver(self._keep)
        self.fake.answer = lambda _: None
        Deferred.fromCoroutine(self.admission.stop())
        self.pass_time(2)
        assert self.clock.getDelayedCalls() == []


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.end()


def outcome(asked: Deferred[Any]) -> Any:
    """What has come of it: a seat, an error, or None where it still waits."""
    results: list[Any] = []
    asked.addBoth(results.append)
    found = results[0] if results else None
    return found.value if isinstance(found, Failure) else found


def is_away(asked: Deferred[Any]) -> bool:
    return isinstance(outcome(asked), errors.Unavailable)


def test_nobody_is_let_in_before_the_node_has_joined_and_then_by_number(node: Node) -> None:
    assert is_away(node.ask())
    node.start()
    seats = [outcome(node.ask()) for _ in range(2)]
    assert [seat.name for seat in seats] == ["Client01", "Client02"]
    assert node.admission.taken == 2
    assert [words[0] for words in node.fake.asked[:2]] == ["ROLE", "INFO"]


def test_an_engine_that_does_not_answer_is_told_within_a_second_and_then_at_once(node: Node) -> None:
    node.start()
    node.fake.answer = lambda _: None
    first = node.ask()
    node.pass_time(patience(LEASE) + 0.05)
    assert is_away(first)
    assert is_away(node.ask())
    node.pass_time(20)
    assert is_away(node.ask())
    assert len(node.log) == 2  # that it is there, and once that it is not
    node.fake.answer = node.fake.well
    node.pass_time(2)
    assert outcome(node.ask()).name == "Client01"


def test_the_times_of_its_answers_are_those_of_answers_alone(node: Node) -> None:
    """Refusals of an engine that is away come at once: among them, it would look the faster the longer it is dead."""

    def counted() -> int:
        return node.admission.answers.cumulative()[-1][1]

    assert (is_away(node.ask()), counted()) == (True, 0)
    node.start()
    node.ask()
    assert counted() == 1
    node.fake.answer = lambda _: None
    silent = node.ask()
    node.pass_time(patience(LEASE) + 0.05)
    assert (is_away(silent), is_away(node.ask()), counted()) == (True, True, 1)


def test_an_engine_that_can_not_be_reached_is_tried_again_and_again_and_told_once(node: Node) -> None:
    node.fake.is_there = False
    node.start()
    node.pass_time(10)
    assert len(node.log) == 1
    node.fake.is_there = True
    node.pass_time(0.6)
    assert outcome(node.ask()).name == "Client01"


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda data: repr(data[:20]))
@pytest.mark.parametrize(
    "when", ["ROLE", "INFO", scripts.JOIN, scripts.ADMIT, scripts.BEAT], ids=["role", "info", "join", "admit", "beat"]
)
def test_nonsense_lets_nobody_in_and_leaves_no_traceback(node: Node, nonsense: bytes, when: str) -> None:
    def answer(words: list[str]) -> bytes:
        return nonsense if when in words[:2] else node.fake.well(words)

    node.fake.answer = answer
    node.start()
    asked = node.ask()
    node.pass_time(LEASE)
    assert is_away(asked) or when is scripts.BEAT
    assert len(node.fake.links) > 1 or outcome(asked) is not None
    node.fake.answer = node.fake.well
    node.pass_time(2)
    assert outcome(node.ask()).name.startswith("Client")


def test_an_answer_without_an_end_is_not_kept(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatfile.cluster.connection.LARGEST_ANSWER", 1000)
    node.start()
    node.fake.answer = lambda _: b"$99999999999\r\n"
    asked = node.ask()
    (link,) = node.fake.links
    for _ in range(20):
        link.protocol.dataReceived(100 * b"x")
    node.clock.advance(0)
    assert (link.is_up, is_away(asked)) == (False, True)


def test_the_password_shows_nowhere_though_the_engine_repeats_it(logged_errors: list[str]) -> None:
    node = Node(EngineAddress((("engine", 6379),), user="me", password=PASSWORD))
    node.fake.answer = lambda words: f"-ERR unknown command 'AUTH' with args 'me' '{PASSWORD}'\r\n".encode()
    node.start()
    node.pass_time(5)
    node.fake.answer = lambda words: b"-WRONGPASS invalid username-password pair\r\n"
    node.pass_time(5)
    assert node.fake.asked[0] == ["AUTH", "me", PASSWORD]
    assert len(node.log) == 2
    assert PASSWORD not in "".join(node.log)
    assert logged_errors == []
    node.end()


def test_a_database_is_chosen() -> None:
    node = Node(EngineAddress((("engine", 6379),), password=PASSWORD, database=7))
    node.start()
    assert node.fake.asked[:2] == [["AUTH", PASSWORD], ["SELECT", "7"]]
    node.end()


def test_a_replica_is_no_engine(node: Node) -> None:
    node.fake.answer = lambda words: b"*1\r\n$5\r\nslave\r\n" if words == ["ROLE"] else node.fake.well(words)
    node.start()
    assert is_away(node.ask())
    assert node.fake.scripts_run(scripts.JOIN) == []


def test_an_answer_that_a_process_finds_after_it_was_stopped_is_void(node: Node) -> None:
    node.start()
    node.fake.answer = lambda _: None
    asked = node.ask()
    node.clock.rightNow += 100  # no timer has fired yet when what has come meanwhile is read
    node.fake.links[-1].protocol.dataReceived(b"+seat 1 1795348800\r\n")
    assert is_away(asked)
    assert node.admission.taken == 0


def test_each_join_has_a_generation_of_its_own_and_names_who_is_inside(node: Node) -> None:
    node.start()
    seats = [outcome(node.ask()) for _ in range(3)]
    seats[1].release()
    node.fake.links[-1].lose()
    node.pass_time(0.6)
    first, second = (words[2:] for words in node.fake.scripts_run(scripts.JOIN))
    arguments = 1 + len(keys("chatfile"))
    assert first[arguments:] == ["n0de", "1", "0123abcd", "6000", "1000", "0"]
    assert second[arguments:] == ["n0de", "2", "0123abcd", "6000", "1000", "3", "1", "3"]


def test_who_leaves_while_the_node_joins_is_released_behind_it(node: Node) -> None:
    node.start()
    seat = outcome(node.ask())

    def answer(words: list[str]) -> bytes:
        if words[:2] == ["EVAL", scripts.JOIN]:
            seat.release()
        return node.fake.well(words)

    node.fake.answer = answer
    node.fake.links[-1].lose()
    node.pass_time(0.6)
    assert [words[-3:] for words in node.fake.scripts_run(scripts.RELEASE)] == [["1", "0", "0"]]
    assert node.admission.taken == 0


def test_what_was_lost_is_told_again(node: Node) -> None:
    node.start()
    outcome(node.ask()).count_bytes(70)
    node.fake.answer = lambda words: b"+joined 1\r\n" if words[1:2] == [scripts.JOIN] else node.fake.well(words)
    node.fake.links[-1].lose()
    node.pass_time(0.6)
    assert [words[-6:] for words in node.fake.scripts_run(scripts.RESTORE)] == [
        ["1", "10.0.0.1", "10.0.0.1:5", "1795348800", "0", "70"]
    ]


def test_a_beat_tells_what_has_changed_and_a_node_that_is_not_known_joins_again(node: Node) -> None:
    node.start()
    outcome(node.ask()).count_bytes(70)
    node.pass_time(LEASE)
    beats = [words[2 + 1 + len(keys("x")) + 5 :] for words in node.fake.scripts_run(scripts.BEAT)]
    assert beats[:2] == [["1", "1", "0", "1", "0", "70"], ["1", "1", "0"]]
    for said in (b"+stale\r\n", b"+join\r\n"):
        links = len(node.fake.links)
        node.fake.answer = lambda words, said=said: said if scripts.BEAT in words else node.fake.well(words)
        node.pass_time(LEASE / 3 + 0.1)
        node.fake.answer = node.fake.well
        node.pass_time(1)
        assert len(node.fake.links) == links + 1
        assert node.engine.is_joined


def test_a_row_that_no_node_has_written_is_told_once_and_costs_nobody_but_status(node: Node) -> None:
    node.start()
    said = [b"$12\r\n1 ours alone\r\n"]
    node.fake.answer = lambda words: said[0] if words[1:2] == [scripts.PAGE] else node.fake.well(words)
    for _ in range(5):
        asked = Deferred.fromCoroutine(node.admission.present())
        node.turn()
        assert is_away(asked)
    assert (node.engine.is_joined, len(node.fake.links), len(node.log)) == (True, 1, 2)
    said[0] = b"$0\r\n\r\n"
    asked = Deferred.fromCoroutine(node.admission.present())
    node.turn()
    assert outcome(asked) == []


def test_who_comes_while_status_is_read_is_not_shown_beside_those_that_had_the_seat(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ROWS", 1)
    node.start()
    answers = iter([b"$23\r\n1 n0de h h:1 1000 - 0 0\r\n", b"$0\r\n\r\n"])
    node.fake.answer = lambda words: next(answers) if words[1:2] == [scripts.PAGE] else node.fake.well(words)
    outcome(node.ask())
    asked = Deferred.fromCoroutine(node.admission.present())
    assert outcome(node.ask()) is not None
    assert [seat.name for seat in outcome(asked)] == ["Client01"]


def test_never_are_more_shown_as_connected_than_were_at_one_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who leave and come from one page to the next."""
    monkeypatch.setattr(pages, "ROWS", 2)
    node.start()
    left = dict.fromkeys(range(1, 6), "-")

    def answer(words: list[str]) -> bytes:
        if words[1:2] != [scripts.PAGE]:
            return node.fake.well(words)
        before, count = float(words[-2]), int(words[-1])
        page = [number for number in sorted(left, reverse=True) if number < before][:count]
        text = b"\n".join(b"%d n0de h h:1 1000 %b 0 0" % (number, left[number].encode()) for number in page)
        if page:
            left[min(number for number, when in left.items() if when == "-")] = "2000"
            left[max(left) + 1] = "-"
        return b"$%d\r\n%b\r\n" % (len(text), text)

    node.fake.answer = answer
    asked = Deferred.fromCoroutine(node.admission.present())
    node.turn()
    shown = outcome(asked)
    assert [record.name for record in shown] == [f"Client{number:02}" for number in range(1, 6)]
    assert len([record for record in shown if record.disconnected is None]) == 4


def test_a_node_that_leaves_says_so_and_does_not_wait_for_an_engine_that_is_away(node: Node) -> None:
    node.start()
    left = Deferred.fromCoroutine(node.admission.stop())
    node.turn()
    assert len(node.fake.scripts_run(scripts.LEAVE)) == 1
    assert left.called
    with pytest.raises(EngineAway):
        run_at_once(node.admission.engine.ask(scripts.RELEASE))


def test_a_fault_of_ours_in_what_nobody_waits_for_is_logged_at_once(
    node: Node, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    node.start()

    def broken(*_: object) -> Any:
        raise ZeroDivisionError("ours")

    with monkeypatch.context() as patch:
        patch.setattr(SharedAdmission, "_heard", broken)
        node.pass_time(LEASE / 2)
        told = [event for event in node.log if "Telling the engine" in event]
    assert len(told) == len(logged_errors) == 1
    logged_errors.clear()
