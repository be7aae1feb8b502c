"""`--proxy-protocol-from`: what it may be, and the real programs, with HAProxy between them."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from chatfile.options import Options
from tests.support.haproxy import HAProxy, needs_haproxy
from tests.support.processes import PATIENCE, RawClient, ServerProcess, run_client, wait_until
from tests.support.proxied import LOCAL, V1, V2

UNKNOWN = b"PROXY UNKNOWN\r\n"
CONTENT = os.urandom(3_000_000)
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have one address of the loopback interface"
)


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions([*arguments, "-f", "."])
    return options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--proxy-protocol-from="],
        ["--proxy-protocol-from=10.0.0.7,"],
        ["--proxy-protocol-from=10.0.0.1/8"],
        ["--proxy-protocol-from=10.0.0"],
        ["--proxy-protocol-from=fe80::1%eth0"],
        ["--proxy-protocol-from=proxy.example"],
        ["--proxy-protocol-from=10.0.0.7", "-p", "haproxy:tcp:0"],
        ["--proxy-protocol-from=10.0.0.7", "-p", "5000", "-p", "haproxy:unix:socket"],
    ],
)
def test_what_it_can_t_be_is_said_in_one_line(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^--proxy-protocol-from: [^\n]*$"):
        parsed(*arguments)


def test_where_the_library_is_missing_that_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("proxyprotocol", "chatfile.server.prox"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "proxyprotocol", None)
    with pytest.raises(UsageError, match=r"^--proxy-protocol-from: .*pip install proxy-protocol"):
        parsed("--proxy-protocol-from=10.0.0.7")


def test_without_it_no_proxy_is_trusted() -> None:
    assert parsed()["proxies"] is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proxied")
    (folder / "served").mkdir()
    (folder / "served" / "a").write_bytes(CONTENT)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    options = ["--proxy-protocol-from=127.0.0.1,unix", "-p", f"unix:{folder}/socket", "--max-per-address=2"]
    with ServerProcess(folder / "served", *options, header=UNKNOWN) as server:
        yield server


def names_given(server: ServerProcess) -> int:
    """How many clients there have been, this one included."""
    with RawClient(server.port) as client:
        client.send(UNKNOWN)
        number = int(client.line().split()[1].removeprefix(b"Client"))
        client.send(b"exit\n")
        client.rest()
    return number


@needs_haproxy
@pytest.mark.parametrize(
    "how",
    ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c,ssl,cert-cn,authority"],
)
def test_behind_haproxy_clients_are_who_they_are_and_its_checks_are_nobody(
    server: ServerProcess, tmp_path: Path, how: str
) -> None:
    before = names_given(server)
    with HAProxy(
        tmp_path / "haproxy",
        f"""
listen nodes
    bind fd@${{FRONTEND}}
    unique-id-format %[uuid()]
    server a 127.0.0.1:{server.port} {how} check inter 10ms rise 5
""",
    ) as haproxy:
        haproxy.ask("set server nodes/a health down")
        wait_until(lambda: haproxy.stat("nodes/a")["status"] == "UP")
        with RawClient(haproxy.port) as client:
            assert client.line() == b"WELCOME Client%02d chatfile/1" % (before + 1)
            client.send(b"status\nget a\n")
            client.half_close()
            port = client.socket.getsockname()[1]
            said = client.rest()
        assert b"Client%02d 127.0.0.1:%d " % (before + 1, port) in said
        assert CONTENT + b"END " + hashlib.sha256(CONTENT).hexdigest().encode() in said
    assert names_given(server) == before + 2


@needs_haproxy
def test_haproxy_may_come_by_a_unix_socket(server: ServerProcess, folder: Path, tmp_path: Path) -> None:
    with (
        HAProxy(
            tmp_path / "haproxy",
            f"""
listen nodes
    bind fd@${{FRONTEND}}
    server a unix@{folder}/socket send-proxy-v2
""",
        ) as haproxy,
        RawClient(haproxy.port) as client,
    ):
        client.send(b"status\n")
        client.half_close()
        assert b" 127.0.0.1:%d " % client.socket.getsockname()[1] in client.rest()
        got = run_client(tmp_path, "-s", f"127.0.0.1:{haproxy.port}", "get", "a")
    assert (got.returncode, (tmp_path / "client_downloads" / "a").read_bytes()) == (0, CONTENT)


@pytest.mark.parametrize("header", [V1, V2])
def test_a_line_and_an_end_may_come_with_the_header(server: ServerProcess, header: bytes) -> None:
    with RawClient(server.port) as client:
        client.send(header + b"hello\nstatus")
        client.half_close()
        said = client.rest()
    assert b"\nhello ACK\nSTATUS " in said
    assert b" 192.0.2.7:4711 " in said


def test_one_that_resets_amid_its_header_or_behind_it_leaves_nothing(server: ServerProcess) -> None:
    before = names_given(server)
    for said in (b"", V1[:-1], LOCAL, V2[:20]) * 5:
        client = RawClient(server.port)
        client.send(said)
        client.reset()
    assert names_given(server) == before + 1


@on_linux
def test_a_stranger_is_turned_away_without_a_word(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE, source_address=("127.0.0.2", 0)) as stranger:
        stranger.sendall(V1)  # or the system would keep it for a second
        with suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    server.log_until(r"127\.0\.0\.2:\d+ is refused")


def test_a_drain_waits_for_nobody_who_has_sent_no_header(folder: Path) -> None:
    options = ["--proxy-protocol-from=127.0.0.1", "--line-timeout=0", "--drain-timeout=0"]
    with ServerProcess(folder / "served", *options) as server, RawClient(server.port) as client:
        client.send(V1[:-1])
        server.process.terminate()
        assert server.ended() == -signal.SIGTERM
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_a_client_may_begin_its_tls_handshake_with_the_header(folder: Path) -> None:
    pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
    from tests.support.certificates import Papers

    papers = Papers(folder)
    options = ["--proxy-protocol-from=127.0.0.1", f"--certificate={papers.good}"]
    with ServerProcess(folder / "served", *options) as server:
        session = Session(server.port, papers.ours)
        server.port = 0  # nobody may ask there, plainly, for who is still connected
        said = session.converse(V1, b"status\nget a\n")
        assert re.search(rb"^Client01 192\.0\.2\.7:4711 ", said, re.MULTILINE)
        assert CONTENT + b"END " in said


class Session:
    """A client that speaks TLS, and says in which pieces its bytes are sent."""

    def __init__(self, port: int, cafile: Path) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=cafile)
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)

    def converse(self, before: bytes, said: bytes) -> bytes:
        """Send `before` in one piece with the first record, then, encrypted, `said` and `exit`; what comes back."""
        heard = b""
        with self._socket:
            self._turn(self._tls.do_handshake, before)
            self._tls.write(said + b"exit\n")
            while not heard.endswith(b"BYE Client01\n"):
                heard += self._turn(lambda: self._tls.read(1 << 20))
        return heard

    def _turn(self, step: Callable[[], bytes | None], before: bytes = b"") -> bytes:
        while True:
            try:
                result = step() or b""
            except ssl.SSLWantReadError:
                self._socket.sendall(before + self._out.read())
                before = b""
                data = self._socket.recv(1 << 16)
                assert data
                self._in.write(data)
            else:
                self._socket.sendall(self._out.read())
                return result
