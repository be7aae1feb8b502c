"""What systemd is told: by datagrams to a socket that stands for its own, and by those of real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from chatfile.service import making
from chatfile.systemd import BEAT, EXTENSION, SystemdNotifier
from tests.service.test_service import parsed
from tests.support.processes import PATIENCE, ServerProcess
from tests.support.started import Started, program

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract sockets")
BIG = 30_000_000
"""Bytes of a file that no socket buffer holds."""
SOON = 0.1
"""Seconds between two beats of a real process."""


class Manager:
    """The socket at which systemd hears of its services."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(PATIENCE)

    def hears(self) -> dict[str, str]:
        """The next message."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def hears_of(self, name: str) -> dict[str, str]:
        """The next message with this variable."""
        while name not in (message := self.hears()):
            pass
        return message

    def has_heard_all(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def forgets(self) -> None:
        while not self.has_heard_all():
            self.hears()


@contextmanager
def listening_at(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    with manager.socket:
        yield manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with listening_at(str(tmp_path / "notify")) as manager:
        yield manager


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    told: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") == "systemd":
            told.append(event["why"])

    globalLogPublisher.addObserver(observe)
    yield told
    globalLogPublisher.removeObserver(observe)


class Notified:
    """A notifier on a clock of its own."""

    def __init__(self, address: str, **variables: str) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.environment = {"NOTIFY_SOCKET": address, "HOME": "/", **variables}
        self.clients = 0
        self.notifier = SystemdNotifier(self.clock, self.environment, lambda: f"{self.clients} clients")

    def __enter__(self) -> Notified:
        return self

    def __exit__(self, *_: object) -> None:
        self.notifier.close()
        assert self.clock.getDelayedCalls() == []


def test_the_variables_are_taken_away_and_nothing_is_said_before_the_start(manager: Manager) -> None:
    with Notified(manager.address, WATCHDOG_PID="1", WATCHDOG_USEC="2") as notified:
        assert notified.environment == {"HOME": "/"}
        assert manager.has_heard_all()
        notified.notifier.start()
        message = manager.hears()
        assert (message["READY"], "WATCHDOG" in message, "EXTEND_TIMEOUT_USEC" in message) == ("1", False, False)
        assert "0 clients" in message["STATUS"]


@pytest.mark.parametrize("pid", ["", str(os.getpid())], ids=["any", "ours"])
def test_it_beats_twice_in_the_time_of_the_watchdog(manager: Manager, pid: str) -> None:
    with Notified(manager.address, WATCHDOG_USEC="4000000", **({"WATCHDOG_PID": pid} if pid else {})) as notified:
        notified.notifier.start()
        assert manager.hears()["WATCHDOG"] == "1"
        for clients in range(3):
            notified.clients = clients
            notified.clock.advance(1.9)
            assert manager.has_heard_all()
            notified.clock.advance(0.1)
            message = manager.hears()
            assert (message["WATCHDOG"], "READY" in message) == ("1", False)
            assert f"{clients} clients" in message["STATUS"]


@pytest.mark.parametrize(
    "variables", [{"WATCHDOG_PID": "1", "WATCHDOG_USEC": "4000000"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}]
)
def test_a_watchdog_of_another_process_or_none_gets_no_beat(manager: Manager, variables: dict[str, str]) -> None:
    with Notified(manager.address, **variables) as notified:
        notified.notifier.start()
        manager.forgets()
        notified.clock.advance(BEAT)
        assert set(manager.hears()) == {"STATUS"}


@pytest.mark.parametrize("watchdog", [0, 4, 600])
def test_a_drain_asks_for_more_time_again_and_again_before_it_is_over(manager: Manager, watchdog: int) -> None:
    with Notified(manager.address, WATCHDOG_USEC=f"{watchdog}000000") as notified:
        notified.notifier.start()
        manager.forgets()
        notified.notifier.stopping()
        message = manager.hears()
        assert message["STOPPING"] == "1"
        seconds = int(message["EXTEND_TIMEOUT_USEC"]) / 1e6
        assert seconds == EXTENSION
        for _ in range(100):
            notified.clock.advance(seconds / 2)
            assert float(manager.hears()["EXTEND_TIMEOUT_USEC"]) == seconds * 1e6
            manager.forgets()


def test_a_reload_has_a_begin_and_an_end_and_none_after_the_end(manager: Manager) -> None:
    with Notified(manager.address) as notified:
        notified.notifier.start()
        manager.forgets()
        notified.notifier.reloading()
        message = manager.hears()
        assert (message["RELOADING"], message["MONOTONIC_USEC"]) == ("1", "1000000000")
        notified.notifier.ready()
        assert manager.hears()["READY"] == "1"
        notified.notifier.stopping()
        manager.forgets()
        notified.notifier.reloading()
        notified.notifier.ready()
        assert manager.has_heard_all()


def test_what_finds_a_full_queue_goes_with_a_later_beat_and_the_last_word_is_last(manager: Manager) -> None:
    with Notified(manager.address) as notified:
        fill(manager)
        notified.notifier.start()
        notified.notifier.reloading()
        notified.notifier.ready()
        manager.forgets()
        notified.clock.advance(BEAT)
        assert [name for name in manager.hears() if name in ("READY", "RELOADING")] == ["RELOADING", "READY"]
        notified.clock.advance(BEAT)
        assert set(manager.hears()) == {"STATUS"}


def fill(manager: Manager) -> None:
    """Have its queue full, as one that does not read for a while."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"A=1", manager.address)
        except BlockingIOError:
            pass


def test_an_answer_comes_from_the_socket_that_is_kept_when_descriptors_run_out(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Notified(manager.address, WATCHDOG_USEC="4000000") as notified:
        notified.notifier.start()
        manager.forgets()
        monkeypatch.setattr(socket, "socket", None)
        notified.clock.advance(2)
        assert manager.hears()["WATCHDOG"] == "1"


@pytest.mark.parametrize("address", ["/nowhere/at/all", "nonsense", "vsock:2:1234", f"/{'long' * 100}", "\udcff"])
def test_what_can_not_be_told_is_in_the_log_once(address: str, warnings: list[str]) -> None:
    with Notified(address, WATCHDOG_USEC="4000000") as notified:
        notified.notifier.start()
        notified.clock.pump([2] * 10)
        notified.notifier.stopping()
    assert len(warnings) == 1


def test_one_that_is_there_again_is_told_again(tmp_path: Path, warnings: list[str]) -> None:
    address = str(tmp_path / "notify")
    with Notified(address) as notified:
        notified.notifier.start()
        with listening_at(address) as manager:
            notified.clock.advance(BEAT)
            assert "STATUS" in manager.hears()
        notified.clock.advance(BEAT)
    assert len(warnings) == 2  # there was none, and then nobody behind it


@on_linux
def test_an_address_with_an_at_sign_is_an_abstract_one() -> None:
    with listening_at(f"@chatfile-test-{os.getpid()}") as manager, Notified(manager.address) as notified:
        notified.notifier.start()
        assert manager.hears()["READY"] == "1"


def test_the_socket_is_for_this_process_alone(manager: Manager) -> None:
    with Notified(manager.address) as notified:
        notified.notifier.start()
        sent_by = notified.notifier._socket
        assert sent_by is not None
        assert not sent_by.get_inheritable()


def test_the_service_takes_the_variables_from_the_environment(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    making.makeService(parsed("-f", str(tmp_path)))
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & os.environ.keys()
    assert manager.has_heard_all()


# --- real processes ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    served = tmp_path / "served"
    served.mkdir()
    (served / "big").touch()
    os.truncate(served / "big", BIG)
    return served


def environment(manager: Manager) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": f"{2e6 * SOON:.0f}"}


def test_a_server_is_ready_when_it_can_be_reached_and_not_before(tmp_path: Path, manager: Manager) -> None:
    command = [program("chatfile-server"), "-p", "unix:socket"]
    how = os.environ | environment(manager)
    with subprocess.Popen(command, cwd=tmp_path, env=how, stdout=subprocess.DEVNULL) as process:
        try:
            assert manager.hears()["READY"] == "1"  # the first word of all
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(str(tmp_path / "socket"))
                assert client.recv(8) == b"WELCOME "
                while "1 of 3 clients" not in manager.hears_of("STATUS")["STATUS"]:
                    pass
            process.send_signal(signal.SIGTERM)
            assert manager.hears_of("STOPPING")["STOPPING"] == "1"
            assert process.wait(PATIENCE) == -signal.SIGTERM
        finally:
            process.kill()


@pytest.mark.slow
def test_a_long_drain_is_told_of_again_and_again(folder: Path, manager: Manager) -> None:
    with ServerProcess(folder, "--drain-timeout=0", environment=environment(manager)) as server:
        with server.greeted() as client:
            assert client.ask(b"get big").startswith(b"FILE ")
            server.process.send_signal(signal.SIGTERM)
            manager.hears_of("STOPPING")
            for _ in range(5):
                assert int(manager.hears()["EXTEND_TIMEOUT_USEC"]) == EXTENSION * 1e6
            client.rest()
        server.ended()


def test_who_does_not_turn_does_not_beat(folder: Path, manager: Manager) -> None:
    with ServerProcess(folder, environment=environment(manager)) as server:
        for _ in range(3):
            manager.hears_of("WATCHDOG")
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED | os.WNOWAIT)
        manager.forgets()
        manager.socket.settimeout(5 * SOON)
        with pytest.raises(TimeoutError):
            manager.hears()
        manager.socket.settimeout(PATIENCE)
        server.process.send_signal(signal.SIGCONT)
        assert manager.hears()["WATCHDOG"] == "1"


def test_a_socket_that_is_gone_keeps_nobody_from_serving(tmp_path: Path) -> None:
    how = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "100000"}
    with Started(tmp_path, program("chatfile-server"), env=how, stdout=subprocess.DEVNULL) as server:
        assert server.says(b"hello") == [b"hello ACK"]
        assert server.ended() == (-signal.SIGTERM, b"")


@pytest.mark.slow
def test_a_daemon_tells_for_itself_and_leaves_the_watchdog_of_its_parent_alone(
    tmp_path: Path, manager: Manager
) -> None:
    command = ["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh", program("twistd"), "chatfile", "-p", "unix:socket"]
    subprocess.run(command, cwd=tmp_path, env=os.environ | environment(manager), timeout=PATIENCE, check=True)
    message = manager.hears()
    assert (message["READY"], "WATCHDOG" in message) == ("1", False)
    os.kill(int((tmp_path / "twistd.pid").read_text()), signal.SIGTERM)
    assert manager.hears_of("STOPPING")["STOPPING"] == "1"


def test_systemds_own_program_says_it_alike(manager: Manager) -> None:
    if shutil.which("systemd-notify") is None:
        pytest.skip("there is no systemd-notify here")
    how = os.environ | {"NOTIFY_SOCKET": manager.address}
    subprocess.run(["systemd-notify", "--no-block", "READY=1"], env=how, timeout=PATIENCE, check=True)
    theirs = manager.hears()
    with Notified(manager.address) as notified:
        notified.notifier.start()
        assert manager.hears().items() >= theirs.items()
