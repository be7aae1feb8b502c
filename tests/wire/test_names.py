"""Names: what is one is served byte by byte, everything else gets one and the same refusal, and none is ever obeyed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.serving import OLD, Server, sha256

MTIME = b"2017-07-14T02:40:00Z"
PLAIN = [
    *("a", "A", "a ", " a", "  a", "a  b", "a.", "a\u00a0b", "a\u3000b", "x:ads", "C:\\x", "\\\\host\\x", "a\\..\\b"),
    *("-rf", "--help", "-", "~", "*", "?", "$(x)", "`x`", "a;b", "a|b", '"', "'", "<b>", "CON", "NUL", "COM1.txt"),
    *("list", "exit", "get a", "resume 0 a", "STATUS 3", "ERROR full x", "END -", "hello ACK", "LIST 1"),
    *(f"5 {MTIME.decode()} b", "Client01", "WELCOME Client01"),
    *("%2e%2e%2f", "%2e%2e", "%00", "%s%n", "%(log_system)s", "{log_system}", "{x.__class__}", "{}", "{", "$x"),
    *("caf\u00e9", "cafe\u0301", "\u212b", "\u00c5", "A\u030a", "\u0131", "\u017f", "\uff41", "\u0430", "ß", "ss"),
    *("\uff0e\uff0e", "\uff0e\uff0e\uff0fsecret", "\u2025", "\u2024\u2024", "\u2215x", "\u2044x", "\u29f8x"),
    *("\u202egpj.exe", "\u2066a\u2069", "a\u200bb", "a\u200db", "\ufeffa", "a\u00adb", "\u180e", "\U000e0041"),
    *("👩\u200d👩\u200d👧", "\U0001d4b3", "\uffff", "\ufdd0", "\U0010ffff", "\u0378"),
    *("x" * 255, "é" * 127 + "x", "😀" * 63),
]
"""Names like any other."""

SECRET = [
    *(b".", b"..", b"/", b"//", b"a/", b"b/", b"b/.", b"./b", b"sub/../b", b"sub", b"sub/", b"sub/inner", b"//b"),
    *(b"../secret", b"../served-evil/secret", b"..//secret", b"sub/../../secret", b"/etc/passwd", b"/proc/self/fd/0"),
    *(b"..\\secret", b"%2e%2e/secret", b"..%2fsecret", b"..%5csecret", b"..%c0%afsecret", "..\uff0fsecret".encode()),
    *(b"....//secret", b"..;/secret", b"file:///etc/passwd", b"~/secret", b"~root/secret", b"C:/secret", b"\\\\h/s"),
    *(b".hidden", b".b.part", b"...", b". ", b".. ", b"..secret", b"tab\there", "\u2028".encode(), "x\u2029y".encode()),
    *(b"link", b"outside", b"through", b"absolute", b"dangling", b"loop", b"folder link", b"fifo", b"socket", b"chain"),
    *(b"x" * 256, b"x" * 4000, "é".encode() * 128, "😀".encode() * 64),
]
"""What there is and what there is not; who asks sees no difference."""

ABSENT = [
    *(b"B", b"b.", b"b ", b" b", b"\\b", b"*", b"?", b"[b]", b"b::$DATA", "\uff42".encode(), "\ufeffb".encode()),
    *("\uff0e\uff0e\uff0fsecret".encode(), b"sub\\inner", b"%2fetc%2fpasswd", b"%62", b"~root", b"$HOME", b"0", b"-"),
]
"""Other spellings of what there is: nobody takes one for another, or decodes anything."""

NOT_TEXT = [
    *(b"x\0", b"x\0.txt", b"\x1b[2J", b"\x1b]52;c;AAAA\x07", b"\x07", b"a\rb", b"\x0bx", b"\x0cx", b"\x7f", b"\x01"),
    *("\x85".encode(), "\x9b31m".encode(), "\x90".encode(), b"\xff\xfe", b"caf\xe9", b"\xc3", b"\xed\xa0\x80"),
    *(b"\xc0\xae\xc0\xae", b"\xc0\xafsecret", b"\xf4\x90\x80\x80", b"\xe2\x82"),
]
"""Bytes that no line can hold."""


def _fill(folder: Path) -> None:
    """Everything that is not to be served."""
    for sub in (folder / "sub", folder.with_name("served-evil")):
        sub.mkdir()
        (sub / "inner").write_bytes(b"secret")
        (sub / "secret").write_bytes(b"secret")
    folder.with_name("secret").write_bytes(b"secret")
    links = {"link": "b", "outside": "../secret", "through": "../served/b", "absolute": folder / "b", "chain": "link"}
    links |= {"dangling": "nowhere", "loop": "loop", "folder link": "sub"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "fifo")
    for name in (*SECRET, *NOT_TEXT):
        _put(folder, name)


def _put(folder: Path, name: bytes) -> None:
    """A file of that very name, where a file can have it."""
    path = os.fsencode(folder) + b"/" + name
    if b"/" not in name and b"\0" not in name and len(name) < 256 and not os.path.lexists(path):
        with open(path, "wb") as file:
            file.write(b"secret")


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server of a folder full of what must not be served, and of a file `b`."""
    served = tmp_path / "served"
    served.mkdir()
    server = Server(served)
    server.put("b", b"b")
    monkeypatch.chdir(served)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    _fill(served)
    return server


@pytest.fixture
def bare(tmp_path: Path) -> Server:
    """A server of a folder with nothing in it, and nothing beside it."""
    (tmp_path / "elsewhere" / "bare").mkdir(parents=True)
    return Server(tmp_path / "elsewhere" / "bare")


def test_every_plain_name_is_listed_and_served_byte_by_byte(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for name in PLAIN:
        server.put(name, b"%s\n" % name.encode())
    peer = server.greeted()
    rows = [b"%d %s %s" % (len(name.encode()) + 1, MTIME, name.encode()) for name in sorted(PLAIN)]
    assert peer.says(b"list") == [b"LIST %d" % len(PLAIN), *rows]
    for name in map(str.encode, PLAIN):
        header, content, end = peer.says(b"get " + name)
        assert (header.split(b" ", 3)[3], content, end) == (name, name, b"END " + sha256(name + b"\n"))
        assert peer.says(b"hash " + name) == [b"HASH %s %d %s %s" % (sha256(name + b"\n"), len(name) + 1, MTIME, name)]
        assert peer.says(b"resume 1 " + name)[0] == b"FILE %d %s %s" % (len(name), MTIME, name)


def test_two_names_that_look_alike_are_two(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for name in PLAIN[::2]:
        server.put(name, b"x\n")
    peer = server.greeted()
    assert [name for name in PLAIN if not peer.says(b"hash " + name.encode())[0].startswith(b"ERROR")] == PLAIN[::2]


def test_nothing_else_is_listed(full: Server) -> None:
    assert full.greeted().says(b"list") == [b"LIST 1", b"1 %s b" % MTIME]


@pytest.mark.parametrize("request_line", [b"get ", b"hash ", b"resume 0 ", b"resume 99 "])
def test_what_is_not_served_gets_the_answer_of_what_is_not_there(
    full: Server, bare: Server, request_line: bytes
) -> None:
    there, missing = full.greeted(), bare.greeted()
    for name in (*SECRET, *ABSENT, os.fsencode(full.folder / "b"), os.fsencode(full.folder.with_name("secret"))):
        (answer,) = there.says(request_line + name)
        assert answer.startswith(b"ERROR no-such-file "), name
        assert [answer] == missing.says(request_line + name)
        assert b"secret" not in answer.replace(name, b"")
    assert there.says(b"hello") == [b"hello ACK"]


@pytest.mark.parametrize("request_line", [b"get ", b"hash ", b"resume 0 "])
def test_what_is_no_text_is_refused_and_not_repeated(full: Server, bare: Server, request_line: bytes) -> None:
    there, missing = full.greeted(), bare.greeted()
    for name in NOT_TEXT:
        (answer,) = there.says(request_line + name)
        assert answer.startswith(b"ERROR bad-line "), name
        assert answer.isascii()
        assert answer.decode().isprintable()
        assert [answer] == missing.says(request_line + name)


def test_a_line_end_in_a_name_makes_two_lines_of_it(full: Server) -> None:
    _put(full.folder, b"n\nhello")
    error, message = full.greeted().says(b"get n\nhello")
    assert (error.split()[1], message) == (b"no-such-file", b"hello ACK")


def test_no_name_is_a_matter_of_usage(full: Server) -> None:
    codes = [line.split()[1] for line in full.greeted().says(b"get", b"get ", b"hash ", b"resume 0 ", b"resume  b")]
    assert codes == [b"usage"] * 5


def test_a_device_is_not_there(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "null", 0o666 | 0o020000, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")
    peer = Server(tmp_path).greeted()
    answers = peer.says(b"list", b"get null", b"hash null", b"resume 0 null")
    assert answers[0] == b"LIST 0"
    assert [answer.split()[1] for answer in answers[1:]] == [b"no-such-file"] * 3


def test_a_hard_link_is_a_file_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"x\n")
    os.utime(tmp_path / "elsewhere", (OLD, OLD))
    os.link(tmp_path / "elsewhere", tmp_path / "served" / "a")
    assert Server(tmp_path / "served").greeted().says(b"get a")[1:] == [b"x", b"END " + sha256(b"x\n")]
