"""Passwords, users, databases and certificates of the engine; and what is loaded without an engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from chatfile.cluster.address import parse_engine_url
from tests.support.certificates import Papers
from tests.support.nodes import UNAVAILABLE, Node, cluster, present
from tests.support.processes import wait_until
from tests.support.redis import Redis, needs_redis

SECRET = "p:a/s@s%w#rd é"
RIGHTS = (
    "+eval +evalsha +role +info +select +time +hget +hset +hmget +hdel +hincrby +zadd +zrem +zcard +zrange +zlexcount "
    "+llen +lpop +rpush +lrem"
)
"""What the scripts, and the beginning of a connection, call."""


def url_of(redis: Redis, secret: str, user: str = "", rest: str = "") -> str:
    return redis.url.replace("//", f"//{user}:{quote(secret, safe='')}@") + rest


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path / "redis", password="x") as engine:
        yield engine


@needs_redis
def test_a_password_from_a_file_shows_nowhere_else(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    with Redis(tmp_path / "redis", password=SECRET) as engine:
        secret.write_text(url_of(engine, SECRET, rest="/3") + "\n")
        with cluster(folder, f"@{secret}", count=1) as (node,):
            client = node.enter()
            assert len(present(client)) == 1
            shown = [Path(f"/proc/{node.process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
            shown.append(node.log.encode())
            for form in (SECRET, quote(SECRET, safe="")):
                assert not any(form.encode() in each for each in shown)
            assert "db3:keys=" in engine.ask("INFO", "keyspace")


@needs_redis
@pytest.mark.slow
def test_a_wrong_password_is_told_once_and_may_be_mended(folder: Path, guarded: Redis) -> None:
    with Node(folder, url_of(guarded, SECRET), lease=1) as node:
        began = time.monotonic()
        while time.monotonic() < began + 1:
            assert node.refusal().startswith(UNAVAILABLE)
        assert node.log.count("#warn") == 1
        assert SECRET not in node.log
        guarded.ask("CONFIG", "SET", "requirepass", SECRET)
        node.enter()


@needs_redis
@pytest.mark.slow
def test_no_password_where_one_is_wanted(folder: Path, guarded: Redis) -> None:
    with Node(folder, guarded.url, lease=1) as node:
        began = time.monotonic()
        while time.monotonic() < began + 1:
            assert node.refusal().startswith(UNAVAILABLE)
        assert node.log.count("#warn") == 1


@needs_redis
@pytest.mark.slow
def test_a_user_with_few_rights(folder: Path, redis: Redis) -> None:
    """Everything that nodes do is done with them: coming, going, `status`, loss of all data, death and the end."""
    keys = "~" + redis.key("*")
    assert redis.ask("ACL", "SETUSER", "chatfile", "reset", "on", f">{SECRET}", keys, *RIGHTS.split()) == "OK"
    with cluster(folder, url_of(redis, SECRET, "chatfile"), "--history=1", lease=1.2) as (a, b):
        inside = [a.enter() for _ in range(3)]
        assert len(present(inside[0])) == 3
        for client in inside[:2]:
            client.close()
        wait_until(lambda: redis.taken == 1)
        redis.ask("FLUSHALL")
        other = b.enter()
        wait_until(lambda: len(present(other)) == 2)
        b.process.kill()
        wait_until(lambda: redis.taken == 1)
        assert len(present(inside[2])) == 1
        a.process.terminate()
        a.ended()
        assert redis.taken == 0
        assert redis.ask("ACL", "LOG") == "0"


@needs_redis
@pytest.mark.slow
def test_the_engine_over_tls(folder: Path, tmp_path: Path) -> None:
    papers = Papers(tmp_path)

    @contextmanager
    def engine(certificate: Path, *options: str) -> Iterator[Redis]:
        files = ["--tls-cert-file", certificate, "--tls-key-file", certificate, "--tls-ca-cert-file", papers.ours]
        with Redis(tmp_path / "redis", *map(str, files), *options, tls=True) as running:
            yield running

    with engine(papers.good) as redis:
        own = f"?cafile={papers.ours}&cert={papers.client}"
        with cluster(folder, redis.url + own, lease=2) as (a, b):
            assert {a.enter_as()[1], b.enter_as()[1]} == {b"Client01", b"Client02"}
            redis.freeze()
            line, seconds = a.turned_away()
            assert (line.startswith(UNAVAILABLE), seconds < 1) == (True, True)
            assert a.refusal_at_once().startswith(UNAVAILABLE)
            redis.thaw()
            a.enter()
        is_refused(folder, redis.url + f"?cafile={papers.ours}")  # it shows no certificate of its own
        is_refused(folder, redis.url + f"?cafile={papers.theirs}&cert={papers.client}")
        is_refused(folder, redis.url)
        is_refused(folder, redis.url.replace("rediss", "redis"))
    for kind in ("elsewhere", "expired", "self-signed"):
        with engine(papers.kinds[kind]) as redis:
            is_refused(folder, redis.url + own)


def is_refused(folder: Path, url: str) -> None:
    """Nobody is let in, and the log tells why, in few words."""
    with Node(folder, url, lease=1.5) as node:
        node.log_until("#warn")
        assert node.refusal().startswith(UNAVAILABLE)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 1)
        assert 1 <= node.log.count("#warn") <= 2, node.log


@needs_redis
@pytest.mark.slow
def test_a_tls_handshake_that_never_ends(folder: Path, redis: Redis, tmp_path: Path) -> None:
    """As a plain Redis that is frozen makes one."""
    papers = Papers(tmp_path)
    redis.freeze()
    with Node(folder, f"rediss://127.0.0.1:{redis.port}?cafile={papers.ours}", lease=1.5) as node:
        node.log_until("#warn")
        for _ in range(3):
            line, seconds = node.turned_away()
            assert (line.startswith(UNAVAILABLE), seconds < 1) == (True, True)
        began = time.monotonic()
        node.process.terminate()
        node.ended()
        assert time.monotonic() - began < 2
    redis.thaw()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:sec\u2100ret@127.0.0.1",
        "redis://:x?secret@127.0.0.1",
        "redis://:x#secret@127.0.0.1",
        "redis://:x/secret@127.0.0.1",
        "redis://:[secret@127.0.0.1",
        "redis://:secret@",
        "redis://:secret@127.0.0.1:99999999",
        "redis://:secret@127.0.0.1/secret",
        "redis://:secret@127.0.0.1/1/2",
        "rediss://:secret@127.0.0.1?secret=1",
        "http://:secret@127.0.0.1",
        "secret",
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*sec)"):
        parse_engine_url(url)


LOADED = """
import sys
from chatfile.options import Options
from chatfile.service.making import makeService
options = Options()
options.parseOptions(["--port=0", *sys.argv[1:]])
makeService(options)
print(*(name for name in ("chatfile.cluster", "txredisapi") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("option", "loaded"), [((), ""), (("--cluster=redis://127.0.0.1:1",), "chatfile.cluster txredisapi")]
)
def test_what_is_loaded(folder: Path, option: tuple[str, ...], loaded: str) -> None:
    command = [sys.executable, "-c", LOADED, f"--files={folder}", *option]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == loaded


def test_without_the_library_the_node_does_not_start(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "txredisapi.py").write_text("raise ModuleNotFoundError('none', name='txredisapi')\n")
    lacking = {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "chatfile", f"--files={folder}", "--port=0", "--cluster=redis://127.0.0.1:1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=lacking, cwd=folder.parent)
    assert ended.returncode != 0
    [told] = [line for line in (ended.stdout + ended.stderr).splitlines() if "txredisapi" in line]
    assert "--cluster" in told
    assert "Traceback" not in ended.stdout + ended.stderr
