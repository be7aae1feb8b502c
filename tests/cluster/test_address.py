"""Where the engine is, as `--cluster` says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.usage import UsageError

from chatfile.cluster.address import EngineAddress, parse_engine_url, read_engine_address
from chatfile.options import Options

SECRET = "s3cret!"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://engine", EngineAddress((("engine", 6379),))),
        ("redis://10.0.0.1:7000/", EngineAddress((("10.0.0.1", 7000),))),
        ("valkey://[::1]:7000/3", EngineAddress((("::1", 7000),), database=3)),
        ("redis://:pass%40word@engine", EngineAddress((("engine", 6379),), password="pass@word")),
        ("redis://me:p@ss@engine", EngineAddress((("engine", 6379),), user="me", password="p@ss")),
        (
            "rediss://engine?cafile=/ca.pem&cert=/c.pem&key=/k.pem",
            EngineAddress((("engine", 6379),), is_encrypted=True, cafile="/ca.pem", cert="/c.pem", key="/k.pem"),
        ),
        (
            "sentinel://me:word@a,b:1,[::2]/main/2",
            EngineAddress((("a", 26379), ("b", 1), ("::2", 26379)), "main", "me", "word", 2),
        ),
        ("sentinels://a/main", EngineAddress((("a", 26379),), "main", is_encrypted=True)),
    ],
)
def test_what_a_url_means(url: str, address: EngineAddress) -> None:
    assert parse_engine_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "engine:6379", "http://engine", "redis://", "redis:///0", "redis://a,b", "redis://a:0", "redis://a:65536",
        "redis://a:x", "redis://a/x", "redis://a/0/1", "redis://user@a", "redis://::1", "redis://a b", "redis://a\n",
        "redis://a#0", "redis://a?cafile=/x", "rediss://a?cafile=", "rediss://a?other=1", "sentinel://a", "sentinel://a/",
        "sentinel://a/main/x", "sentinel://a/main/0/1", "redis://[::1", "redis://[x]:1", "redis://a/\x1b[2J",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_in_one_sentence_without_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refused:
        parse_engine_url(url)
    assert str(refused.value).isprintable()


@given(st.text(max_size=60) | st.builds("redis://{}".format, st.text(max_size=40)))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_engine_url(text)
    except ValueError:
        return
    assert address.hosts


def test_a_password_never_shows(tmp_path: Path) -> None:
    address = parse_engine_url(f"sentinel://me:{SECRET}@a,b/main")
    assert SECRET not in repr(address) + str(address) + address.name
    with pytest.raises(UsageError) as refused:
        parsed(tmp_path, f"--cluster=redis://me:{SECRET}@engine:port")
    assert SECRET not in str(refused.value)


def test_a_file_may_hold_the_url(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text(f"redis://:{SECRET}@engine\n# whoever set it up may say so here\n")
    assert read_engine_address(f"@{tmp_path}/engine") == parse_engine_url(f"redis://:{SECRET}@engine")


def test_a_file_that_is_none_is_one_line_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "other").write_text(SECRET)
    (tmp_path / "binary").write_bytes(b"\xff" * 9000)
    for name in ("pipe", "empty", "other", "binary", "missing", "."):
        with pytest.raises(UsageError) as refused:
            parsed(tmp_path, f"--cluster=@{tmp_path}/{name}")
        assert SECRET not in str(refused.value)
        assert "\n" not in str(refused.value)


def parsed(served: Path, *options: str) -> Options:
    found = Options()
    found.parseOptions(["--files", str(served), "--port", "0", *options])
    return found


@pytest.mark.parametrize(
    "options",
    [
        ["--lease=0"], ["--lease=0.9"], ["--lease=3601"], ["--lease=x"], ["--cluster-name="], ["--cluster-name=a b"],
        ["--cluster-name={}"], ["--cluster-name=" + 65 * "x"], ["--waiting=1"],
    ],
)  # fmt: skip
def test_what_a_cluster_can_not_have_is_refused(tmp_path: Path, options: list[str]) -> None:
    parsed(tmp_path, "--cluster=redis://engine")
    with pytest.raises(UsageError):
        parsed(tmp_path, "--cluster=redis://engine", *options)


@pytest.mark.parametrize("option", ["--lease=5", "--cluster-name=other"])
def test_what_is_of_a_cluster_alone_wants_one(tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match="--cluster"):
        parsed(tmp_path, option)
    parsed(tmp_path, "--cluster=redis://engine", option)
