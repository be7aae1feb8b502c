"""Files over real sockets, whichever reactor serves them: the fast ways must not depend on one."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, RawClient, ServerProcess, run_client

SIZES = (0, 1, 65_537, 2_097_152, 12_345_678)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for size in SIZES:
        (served / f"{size}.bin").write_bytes(os.urandom(size))
    return served


REACTORS = ["epoll", *(pytest.param(other, marks=pytest.mark.slow) for other in ("poll", "select", "asyncio"))]


@pytest.fixture(scope="module", params=REACTORS)
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, reactor=request.param) as server:
        yield server


def expect_file(client: RawClient, path: Path) -> None:
    content = path.read_bytes()
    header, size, _, name = client.line().split()
    assert (header, int(size), name) == (b"FILE", len(content), path.name.encode())
    assert client.read(len(content)) == content
    assert client.line() == b"END " + hashlib.sha256(content).hexdigest().encode()


@pytest.mark.parametrize("receive_buffer", [0, 4096])
def test_files_and_lines_keep_their_order(server: ServerProcess, folder: Path, receive_buffer: int) -> None:
    client = server.connect(receive_buffer=receive_buffer)
    assert client.line().startswith(b"WELCOME ")
    sizes = [size for size in SIZES if size < 10_000_000 or not receive_buffer]
    client.send(b"".join(b"before\nget %d.bin\nresume %d %d.bin\n" % (size, size, size) for size in sizes))
    for size in sizes:
        assert client.line() == b"before ACK"
        expect_file(client, folder / f"{size}.bin")
        assert client.line().startswith(b"FILE 0 ")
        assert client.line().startswith(b"END ")
    client.close()


def test_three_clients_at_once(server: ServerProcess, folder: Path) -> None:
    clients = [server.greeted() for _ in range(3)]
    for client in clients:
        client.send(b"get 12345678.bin\n" * 2)
    for _ in range(2):
        for client in clients:
            expect_file(client, folder / "12345678.bin")
    for client in clients:
        client.close()


def test_a_file_that_shrinks_under_way_is_a_reset(server: ServerProcess, folder: Path) -> None:
    path = folder / "shrinking.bin"
    path.write_bytes(bytes(30_000_000))
    client = server.connect(receive_buffer=4096)
    assert client.line().startswith(b"WELCOME ")
    client.send(b"get shrinking.bin\n")
    assert client.line().startswith(b"FILE 30000000 ")
    server.may_fail = True
    os.truncate(path, 10_000_000)
    with pytest.raises(ConnectionResetError):
        client.rest()
    client.close()
    other = server.greeted()
    assert other.ask(b"hello") == b"hello ACK"
    other.close()
    path.unlink()


def test_the_client_saves_what_it_is_sent(server: ServerProcess, folder: Path, tmp_path: Path) -> None:
    names = [f"{size}.bin" for size in SIZES]
    done = run_client(tmp_path, "-s", f"127.0.0.1:{server.port}", "get", *names)
    assert done.returncode == 0, done.stderr
    for name in names:
        assert (tmp_path / "client_downloads" / name).read_bytes() == (folder / name).read_bytes()


SAVE = """
import sys
from twisted.internet.{reactor}reactor import install
install()
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from chatfile.client import connect
from chatfile.downloads import download

async def main(reactor):
    client = await connect("tcp:127.0.0.1:" + sys.argv[1])
    for name in sys.argv[2:]:
        print((await download(client, name, ".")).verified, await client.send("and on"))
    await client.exit()

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_the_library_saves_on_every_reactor(folder: Path, tmp_path: Path, reactor: str) -> None:
    names = [f"{size}.bin" for size in SIZES]
    with ServerProcess(folder) as server:
        script = [sys.executable, "-c", SAVE.format(reactor=reactor), str(server.port), *names]
        done = subprocess.run(script, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
    assert done.stdout == b"True and on ACK\n" * len(names), done.stderr
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
