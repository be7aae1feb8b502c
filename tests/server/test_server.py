"""The server's conversation, in memory: every request, every error, in order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatfile import wire
from tests.support.serving import OLD, WELCOME, Server, sha256
from tests.support.transports import FullTransport, Threads, turn_over

MTIME = b"2017-07-14T02:40:00Z"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_the_server_speaks_first(server: Server) -> None:
    assert server.connect().transport.lines() == [WELCOME % 1]
    assert server.connect().transport.lines() == [WELCOME % 2]


@pytest.mark.parametrize(
    "text", [b"hello", b"", b" ", b"status please", b"list ", b"getx", b"exit!", "grüße\t€".encode()]
)
def test_a_message_comes_back_with_ack(server: Server, text: bytes) -> None:
    assert server.greeted().says(text) == [text + b" ACK"]


def test_status_shows_everyone_who_is_or_was_here(server: Server) -> None:
    server.put("a", b"12345")
    first, second = server.greeted(), server.greeted()
    first.says(b"get a")
    server.clock.advance(5)
    first.vanishes()
    assert second.says(b"STATUS") == [
        b"STATUS 2",
        b"Client01 127.0.0.1:40001 2026-11-22T12:00:00Z 2026-11-22T12:00:05Z 1 5",
        b"Client02 127.0.0.1:40002 2026-11-22T12:00:00Z - 0 0",
    ]


def test_list_shows_what_can_be_fetched_sorted(server: Server) -> None:
    for name in ("b", "a b", "é", "B"):
        server.put(name, name.encode())
    (server.folder / ".hidden").touch()
    rows = [b"%d %s %s" % (len(name.encode()), MTIME, name.encode()) for name in ("B", "a b", "b", "é")]
    assert server.greeted().says(b"list") == [b"LIST 4", *rows]


def test_a_file_comes_size_first_and_digest_last(server: Server) -> None:
    content = bytes(range(256)) * 3 + b"\n"
    server.put("a b.bin", content)
    peer = server.greeted()
    peer.sends(b"get a b.bin\nhello\n")
    header, rest = peer.transport.value().split(b"\n", 1)
    assert header == b"FILE 769 %s a b.bin" % MTIME
    assert rest == content + b"END " + sha256(content) + b"\nhello ACK\n"


@pytest.mark.parametrize("offset", [0, 1, 4, 5])
def test_a_file_is_resumed_with_the_digest_of_the_whole(server: Server, offset: int) -> None:
    server.put("a", b"1234\n")
    peer = server.greeted()
    peer.sends(b"resume %d a\n" % offset)
    assert peer.transport.value() == (
        b"FILE %d %s a\n" % (5 - offset, MTIME) + b"1234\n"[offset:] + b"END " + sha256(b"1234\n") + b"\n"
    )


def test_hash_tells_digest_size_and_time(server: Server) -> None:
    server.put("a", b"x")
    assert server.greeted().says(b"hash a") == [b"HASH %s 1 %s a" % (sha256(b"x"), MTIME)]


def test_without_digests_there_is_a_dash(tmp_path: Path) -> None:
    server = Server(tmp_path, hashing=False)
    server.put("a", b"x\n")
    assert server.greeted().says(b"hash a", b"get a") == [
        b"HASH - 2 %s a" % MTIME,
        b"FILE 2 %s a" % MTIME,
        b"x",
        b"END -",
    ]


def test_every_descriptor_is_given_back(server: Server) -> None:
    server.put("a", b"x\n")
    peer = server.greeted()
    before = os.listdir("/proc/self/fd")
    peer.says(b"get a", b"hash a", b"resume 9 a", b"get nothing", b"list")
    assert os.listdir("/proc/self/fd") == before


def test_help_explains(server: Server) -> None:
    header, *rows = server.greeted().says(b"help")
    assert (header, rows) == (b"HELP %d" % len(rows), [row.encode() for row in wire.HELP])


def test_exit_says_goodbye_and_nothing_more(server: Server) -> None:
    peer = server.greeted()
    assert peer.says(b"exit", b"hello") == [b"BYE Client01"]
    assert peer.is_closing()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\xff\xfe", b"bad-line"),
        (b"a\0b", b"bad-line"),
        (b"\x1b[31m", b"bad-line"),
        ("\x85".encode(), b"bad-line"),
        (b"x" * 4097, b"line-too-long"),
        (b"get", b"usage"),
        (b"hash ", b"usage"),
        (b"resume a", b"usage"),
        (b"resume -1 a", b"usage"),
        (b"get nothing", b"no-such-file"),
        (b"get ..", b"no-such-file"),
        (b"get ../" + b"x" * 4000, b"no-such-file"),
        (b"get link", b"no-such-file"),
        (b"hash folder", b"no-such-file"),
        (b"resume 2 a", b"bad-offset"),
        (b"resume " + b"9" * 4000 + b" a", b"bad-offset"),
    ],
)
def test_an_error_is_one_line_and_the_session_goes_on(server: Server, line: bytes, code: bytes) -> None:
    server.put("a", b"x")
    (server.folder / "link").symlink_to("a")
    (server.folder / "folder").mkdir()
    error, goes_on = server.greeted().says(line, b"hello")
    assert error.startswith(b"ERROR %s " % code)
    assert error.endswith(b".")
    assert str(server.folder).encode() not in error
    assert goes_on == b"hello ACK"


def test_a_folder_that_is_gone_is_unavailable_until_it_comes_back(server: Server) -> None:
    peer = server.greeted()
    server.folder.rmdir()
    replies = peer.says(b"list", b"get a", b"hash a")
    assert [reply.split()[1] for reply in replies] == [b"unavailable"] * 3
    assert all(str(server.folder).encode() not in reply for reply in replies)
    server.folder.mkdir()
    assert peer.says(b"list") == [b"LIST 0"]


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"get a\nhello\nlist\nget nothing\nbye\n")
    peer.sends(b"\n" * peer.protocol.READ_AHEAD)
    assert peer.transport.producerState == "paused"
    threads.run_all()
    turn_over(server.clock)
    assert [line.split()[0] for line in peer.transport.lines()] == [
        b"FILE", b"x", b"END", b"hello", b"LIST", b"2", b"ERROR", b"bye", *[b"ACK"] * peer.protocol.READ_AHEAD
    ]  # fmt: skip
    assert peer.transport.producerState == "producing"


def test_a_half_close_is_answered_to_the_end(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"get a\nhash a")
    peer.protocol.readConnectionLost()
    assert not peer.is_closing()
    threads.run_all()
    assert [line.split()[0] for line in peer.transport.lines()] == [b"FILE", b"x", b"END", b"HASH"]
    assert peer.transport.disconnecting


# --- the promised size ---


def test_a_file_that_grew_is_sent_as_it_was_promised(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("log", b"one\n")
    peer = server.greeted()
    peer.sends(b"get log\n")
    threads.run()  # it is open now
    with (tmp_path / "log").open("ab") as log:
        log.write(b"two\n")
    threads.run_all()
    assert peer.transport.lines()[1:] == [b"one", b"END " + sha256(b"one\n")]


@pytest.mark.usefixtures("no_file_is_small")
@pytest.mark.usefixtures("cold_disk")
def test_a_file_that_shrank_resets_the_connection(tmp_path: Path, logged_errors: list[str]) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x" * 100)
    peer = server.greeted()
    peer.sends(b"get a\nhello\n")
    threads.run()
    os.truncate(tmp_path / "a", 50)
    threads.run_all()
    assert peer.transport.aborted
    assert b"END" not in peer.transport.value()
    assert b"ACK" not in peer.transport.value()
    logged_errors.clear()  # one line, for the operator


@pytest.mark.usefixtures("no_file_is_small")
def test_a_file_that_shrank_behind_its_last_byte_is_told_as_changed(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x\n")
    peer = server.greeted()
    peer.sends(b"get a\nhello\n")
    threads.run()
    send_and_hash = threads.waiting
    threads.waiting = [each for each in send_and_hash if each.call is os.pread]
    threads.run()
    os.truncate(tmp_path / "a", 0)
    threads.waiting += [each for each in send_and_hash if each.call is not os.pread]
    threads.run_all()
    header, body, changed, goes_on = peer.transport.lines()
    assert (header[:6], body, changed.split()[:2], goes_on) == (b"FILE 2", b"x", [b"ERROR", b"changed"], b"hello ACK")
    assert server.admission.records()[0].files == 0


@pytest.mark.usefixtures("no_file_is_small")
def test_a_file_rewritten_under_the_hash_is_told_as_changed(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x")
    peer = server.greeted()
    peer.sends(b"hash a\n")
    threads.run()
    (tmp_path / "a").write_bytes(b"y")
    threads.run_all()
    assert peer.transport.lines()[0].split()[:2] == [b"ERROR", b"changed"]


def test_an_error_of_our_own_is_logged_and_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, logged_errors: list[str]
) -> None:
    def broken(_: object) -> object:
        raise RuntimeError("a bug")

    monkeypatch.setattr("chatfile.repository.Repository.listing", broken)
    peer = server.greeted()
    (error,) = peer.says(b"list", b"hello")
    assert error.split()[:2] == [b"ERROR", b"internal"]
    assert peer.is_closing()
    assert len(logged_errors) == 1
    logged_errors.clear()


# --- bounded memory ---


def test_a_client_that_reads_nothing_is_not_read_either(server: Server) -> None:
    peer = server.greeted(FullTransport())
    peer.sends(b"hello\n" * 100_000)
    assert len(peer.transport.value()) < 100
    assert peer.transport.producerState == "paused"


def test_a_file_goes_out_a_piece_at_a_time(server: Server) -> None:
    content = os.urandom(1_000_000)
    server.put("a", content)
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"get a\nhello\n")
    pieces = [transport.drain() for _ in range(20)]
    assert max(map(len, pieces)) <= 300_000
    assert b"".join(pieces).split(b"\n", 1)[1] == content + b"END " + sha256(content) + b"\nhello ACK\n"


@pytest.mark.usefixtures("no_file_is_small")
@pytest.mark.usefixtures("cold_disk")
def test_a_header_that_fills_the_transport_holds_nothing_up_for_ever(tmp_path: Path) -> None:
    threads = Threads()
    server = Server(tmp_path, in_thread=threads)
    server.put("a", b"x\n")
    transport = FullTransport()
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(b"get a\nhello\n")
    threads.run()
    transport.high_water = 1_000_000
    threads.run_all()
    assert transport.lines()[-1] == b"hello ACK"


@pytest.mark.parametrize(
    "high_water", [pytest.param(each, marks=pytest.mark.slow) for each in (0, 65_536, 1_000_000)] + [40_000]
)
@pytest.mark.parametrize("request_line", [pytest.param(b"status", marks=pytest.mark.slow), b"list"])
def test_rows_go_out_as_they_are_taken(server: Server, request_line: bytes, high_water: int) -> None:
    for number in range(1000):
        server.greeted().vanishes()
        (server.folder / f"{number:0150}").touch()
    transport = FullTransport(high_water)
    peer = server.greeted(transport)
    transport.drain()
    peer.sends(request_line + b"\nhello\n")
    pieces = []
    while piece := transport.drain():
        pieces.append(piece)
    assert max(map(len, pieces)) <= high_water + 40_000
    header, *rows, goes_on, end = b"".join(pieces).split(b"\n")
    assert (int(header.split()[1]), goes_on, end) == (len(rows), b"hello ACK", b"")


def test_times_of_files_are_clamped(server: Server) -> None:
    server.put("a", b"")
    os.utime(server.folder / "a", (OLD, 300_000_000_000))
    reply = server.greeted().says(b"list")[1]
    assert reply in (b"0 9999-12-31T23:59:59Z a", b"0 2446-05-10T22:38:55Z a")  # some file systems clamp it first
