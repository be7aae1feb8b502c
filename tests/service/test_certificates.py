"""Certificates of a running server: read anew on SIGHUP without harm to anybody, and told of before they end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from chatfile.disk import InThread, Lane
from chatfile.service.certificates import Certificates
from chatfile.service.companions import Companions
from chatfile.signals import on_hangup
from chatfile.tls.server import SOON, ServerTLS
from tests.service.test_signals import has, ignored
from tests.service.test_systemd import Notified, listening_at
from tests.support.certificates import TODAY, Authority
from tests.support.processes import PATIENCE, wait_until
from tests.support.started import program
from tests.support.transports import Threads, at_once
from tests.tls.test_tls_programs import EncryptedProcess

DAY = 86400.0
NOW = TODAY.timestamp()
TIMEOUT = 30.0
SIZE = 30_000_000
"""Bytes of a file that no socket buffer holds."""


@pytest.fixture
def told() -> Iterator[list[LogEvent]]:
    """What the log is told of certificates."""
    events: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") == "certificate":
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


class Renewal:
    """A server's certificate, and another one that is to take its place."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder, "ca")
        self.authority = authority.path
        self._folder = folder
        self.old, self.new = authority.issue("old"), authority.issue("new", days=(-1, 50))
        self.ending = authority.issue("ending", days=(-1, 20))
        self.live = folder / "live.pem"
        self.put(self.old)

    def put(self, certificate: Path) -> None:
        """Have it in place of the one before, from one moment to the next."""
        shutil.copy(certificate, self._folder / "beside")
        (self._folder / "beside").replace(self.live)


@pytest.fixture
def renewal(tmp_path: Path) -> Renewal:
    return Renewal(tmp_path)


class Running:
    """What looks after a certificate, in a time that the test makes."""

    def __init__(self, renewal: Renewal, in_thread: InThread, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.tls = ServerTLS(str(renewal.live), None, None)
        self.certificates = Certificates(self.tls, in_thread, self.clock, lambda: NOW + self.clock.seconds())
        self.certificates.start()

    def reload(self) -> list[Any]:
        """Ask for it; the result holds something as soon as it is over."""
        over: list[Any] = []
        Deferred.fromCoroutine(self.certificates.reload()).addBoth(over.append)
        return over


def levels(told: list[LogEvent]) -> list[LogLevel]:
    return [event["log_level"] for event in told]


def test_what_is_right_is_used_and_told_once(renewal: Renewal, told: list[LogEvent]) -> None:
    running = Running(renewal, at_once)
    renewal.put(renewal.new)
    assert running.reload() == [None]
    assert running.tls.expires == pytest.approx(NOW + 50 * DAY, abs=2)
    assert levels(told) == [LogLevel.info]


def test_what_is_wrong_is_told_once_and_nothing_changes(
    renewal: Renewal, told: list[LogEvent], logged_errors: list[str]
) -> None:
    running = Running(renewal, at_once)
    before = running.tls.current
    renewal.live.unlink()
    assert running.reload() == [None]
    assert running.tls.current is before
    assert levels(told) == [LogLevel.error]
    logged_errors.clear()


def test_whoever_asks_during_a_reading_gets_one_that_began_later(renewal: Renewal, told: list[LogEvent]) -> None:
    threads = Threads()
    running = Running(renewal, threads)
    asked = [running.reload() for _ in range(5)]
    assert len(threads.waiting) == 1
    threads.run()
    renewal.put(renewal.new)
    assert (threads.run(), threads.run()) == (1, 0)
    assert asked == [[None]] * 5
    assert running.tls.expires == pytest.approx(NOW + 50 * DAY, abs=2)
    assert len(told) == 2
    running.reload()
    assert threads.run() == 1


def test_systemd_hears_of_the_end_of_several_hangups_when_the_last_reading_is_over(
    renewal: Renewal, tmp_path: Path
) -> None:
    threads = Threads()
    running = Running(renewal, threads)
    with listening_at(str(tmp_path / "notify")) as manager, Notified(manager.address) as notified:
        companions = Companions(certificates=running.certificates, notifier=notified.notifier)
        for _ in range(3):
            companions.begin_reload()
        assert manager.hears()["RELOADING"] == "1"
        threads.run()
        assert manager.has_heard_all()
        threads.run()
        assert manager.hears()["READY"] == "1"
        assert manager.has_heard_all()


class HungThread:
    """A thread that hangs in its first call."""

    def do(self, task: Callable[[], None]) -> None:
        pass

    def quit(self) -> None:
        pass


def test_a_disk_that_hangs_is_told_each_time_and_takes_three_threads_at_most(
    renewal: Renewal, told: list[LogEvent], logged_errors: list[str]
) -> None:
    clock, threads = Clock(), list[HungThread]()

    def start() -> HungThread:
        threads.append(HungThread())
        return threads[-1]

    lane = Lane(
        clock, lambda call, *them: call(*them), timeout=TIMEOUT, at_once=1, most=1, patience=1, spare=9, start=start
    )
    running = Running(renewal, lane.queue(), clock)
    before = running.tls.current
    for count in range(1, 10):
        over = running.reload()
        clock.advance(TIMEOUT + 1)
        assert (over, levels(told)) == ([None], [LogLevel.error] * count)
    assert (len(threads), running.tls.current) == (3, before)
    logged_errors.clear()


def test_an_end_that_is_near_is_told_at_the_start_and_once_a_day(renewal: Renewal, told: list[LogEvent]) -> None:
    renewal.put(renewal.ending)
    running = Running(renewal, at_once)
    running.clock.advance(20 * DAY - SOON - 60)
    assert told == []
    running.clock.advance(DAY)
    assert levels(told) == [LogLevel.warn]
    running.clock.pump([DAY] * 20)
    assert levels(told) == [LogLevel.warn] * 21, "after its end, too"
    running.certificates.start()
    assert len(told) == 22


def test_after_a_renewal_it_is_the_new_end_that_counts(renewal: Renewal, told: list[LogEvent]) -> None:
    renewal.put(renewal.ending)
    running = Running(renewal, at_once)
    running.clock.advance(10 * DAY)
    assert levels(told) == [LogLevel.warn]
    renewal.put(renewal.new)
    running.reload()
    running.clock.pump([DAY] * 20)
    assert levels(told) == [LogLevel.warn, LogLevel.info]
    renewal.put(renewal.ending)
    running.reload()
    assert levels(told) == [LogLevel.warn, LogLevel.info, LogLevel.info, LogLevel.warn]


def test_at_the_end_nothing_is_left_with_the_clock(renewal: Renewal) -> None:
    running = Running(renewal, at_once)
    running.certificates.stop()
    assert running.clock.getDelayedCalls() == []


def test_a_hangup_that_is_to_be_ignored_stays_so() -> None:
    from twisted.internet import reactor

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        on_hangup(reactor, lambda: None)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


class Visitor:
    """A client, and the certificate that it was shown."""

    def __init__(self, encrypted: ssl.SSLSocket, stream: IO[bytes]) -> None:
        self._encrypted, self.stream = encrypted, stream
        self.greeting = stream.readline()
        self.shown = encrypted.getpeercert(binary_form=True)

    def ask(self, line: bytes) -> bytes:
        self._encrypted.sendall(line + b"\n")
        return self.stream.readline()


def der(path: Path) -> bytes:
    pem = path.read_text()
    return ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN C") :])


class Renewing:
    """A server whose certificate is renewed."""

    def __init__(self, renewal: Renewal, server: EncryptedProcess) -> None:
        self.renewal, self.server = renewal, server
        self.context = ssl.create_default_context(cafile=str(renewal.authority))
        self.port = server.ports[0]

    @contextmanager
    def visit(self) -> Iterator[Visitor]:
        with (
            socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain,
            self.context.wrap_socket(plain, server_hostname="localhost") as encrypted,
            encrypted.makefile("rb") as stream,
        ):
            yield Visitor(encrypted, stream)

    def shows(self, certificate: Path) -> bool:
        with self.visit() as visitor:
            assert visitor.greeting.startswith(b"WELCOME ")
            return visitor.shown == der(certificate)

    def hang_up(self) -> None:
        self.server.process.send_signal(signal.SIGHUP)


@pytest.fixture
def renewing(tmp_path: Path, renewal: Renewal) -> Iterator[Renewing]:
    served = tmp_path / "served"
    served.mkdir()
    (served / "big").touch()
    os.truncate(served / "big", SIZE)
    with EncryptedProcess(served, f"--certificate={renewal.live.name}", "--max-clients=30") as server:
        yield Renewing(renewal, server)


def test_a_hangup_renews_it_for_newcomers_and_a_download_goes_on(renewing: Renewing) -> None:
    with renewing.visit() as old:
        assert old.ask(b"get big").startswith(b"FILE ")
        renewing.renewal.put(renewing.renewal.new)
        renewing.hang_up()
        wait_until(lambda: renewing.shows(renewing.renewal.new))
        assert len(old.stream.read(SIZE)) == SIZE
        assert old.stream.readline().startswith(b"END ")
        assert old.ask(b"hello") == b"hello ACK\n"


def test_ten_hangups_while_clients_come_turn_nobody_away(renewing: Renewing) -> None:
    either = (renewing.renewal.old, renewing.renewal.new)
    for turn in range(10):
        renewing.renewal.put(either[turn % 2 == 0])
        renewing.hang_up()
        with renewing.visit() as one, renewing.visit() as another:
            for visitor in (one, another):
                assert visitor.shown in map(der, either)
                assert visitor.ask(b"hello") == b"hello ACK\n"
    wait_until(lambda: renewing.shows(renewing.renewal.old))


def test_a_bad_file_is_told_and_all_goes_on(renewing: Renewing) -> None:
    renewing.server.may_fail = True
    renewing.renewal.live.unlink()
    os.mkfifo(renewing.renewal.live)
    renewing.hang_up()
    renewing.server.log_until(rf"#error\] .*{re.escape(str(renewing.renewal.live))}")
    assert renewing.shows(renewing.renewal.old)
    renewing.renewal.put(renewing.renewal.new)
    renewing.hang_up()
    wait_until(lambda: renewing.shows(renewing.renewal.new))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process blocks")
def test_a_hangup_while_the_server_is_loaded_waits_until_it_is_ready(tmp_path: Path, renewal: Renewal) -> None:
    command = [program("chatfile-server"), "-p", "unix:socket", "--certificate", renewal.live.name]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        wait_until(lambda: has(ignored(process.pid, "Blk"), signal.SIGHUP))
        process.send_signal(signal.SIGHUP)
        told = [
            next(line for line in process.stdout if word in line) for word in (b" Serving ", renewal.live.name.encode())
        ]
        process.terminate()
        assert (process.wait(PATIENCE), b"#info" in told[1]) == (-signal.SIGTERM, True)


def test_a_hangup_during_a_drain_does_no_harm(renewing: Renewing) -> None:
    with renewing.visit() as client:
        assert client.ask(b"get big").startswith(b"FILE ")
        renewing.server.process.terminate()
        renewing.server.log_until("Going down")
        renewing.hang_up()
        renewing.server.log_until(rf"#info\] .*{re.escape(str(renewing.renewal.live))}")
        assert len(client.stream.read(SIZE)) == SIZE
        assert client.stream.readline().startswith(b"END ")
    assert renewing.server.ended() == -signal.SIGTERM
