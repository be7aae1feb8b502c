"""The program `chatfile-client` while calls to the system fail, from one of them on for ever.

It ends in bounded time, with a code of the README's table and without a traceback; no file of the user's is touched, no
final name has anything but the whole file, and as soon as nothing fails any more, all is had.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatfile.cli.exits import ExitCode
from tests.support.processes import PATIENCE, ServerProcess, client_command
from tests.support.serving import OLD
from tests.support.tracing import Injection

pytestmark = pytest.mark.slow

BIG = bytes(range(251)) * 8000
SERVED = {"big": BIG, "begun": BIG[::-1], "damaged": BIG[1:], **{f"small-{at}": BIG[: at * 1000] for at in range(1, 5)}}
NOTE = "[%d, %d]"
MINE = {"mine": b"mine", ".other.part": b"mine"}
PRESENT = {
    **MINE,
    ".begun.part": SERVED["begun"][:300_000],
    ".begun.note": (NOTE % (len(SERVED["begun"]), OLD)).encode(),
    ".damaged.part": bytes(300_000),
    ".damaged.note": (NOTE % (len(SERVED["damaged"]), OLD)).encode(),
}
LONGEST = PATIENCE
"""Seconds for one run; it takes one, and a lock is tried for half of one."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("files") / "served"
    lay_out(served, SERVED)
    with ServerProcess(served, "--max-clients=20") as server:
        yield server


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (OLD, OLD))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lay_out(tmp_path / "here", PRESENT)
    return tmp_path / "here"


UNDAMAGED = tuple(name for name in SERVED if name != "damaged")


def get(server: ServerProcess, folder: Path, *names: str) -> list[str]:
    return client_command("--json", "--timeout=3", "-s", f"127.0.0.1:{server.port}", "-d", folder, "get", *names)


def ended(command: list[str], most_descriptors: int = 0) -> tuple[int, str]:
    """The exit code and what was said on standard error."""
    limit = (most_descriptors, most_descriptors)
    done = subprocess.run(
        command, capture_output=True, timeout=LONGEST, check=False, stdin=subprocess.DEVNULL,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, limit) if most_descriptors else None,
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


def assert_honest(code: int, said: str, folder: Path) -> None:
    assert code in set(ExitCode), said
    assert "Traceback" not in said
    there = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert MINE.items() <= there.items()
    assert all(there[name] == content for name, content in SERVED.items() if name in there)
    assert code or there.keys() >= set(UNDAMAGED)


def assert_all_is_had(server: ServerProcess, folder: Path) -> None:
    """At the second try, where what was damaged has been dropped only now."""
    codes = []
    while not codes or codes == [ExitCode.MISMATCH]:
        code, said = ended(get(server, folder, *SERVED))
        assert_honest(code, said, folder)
        codes.append(code)
    assert codes[-1] == ExitCode.DONE, said


ABOUT_FILES = {
    "openat": "EIO EMFILE",
    "write,splice": "ENOSPC",
    "newfstatat": "EIO",
    "unlinkat": "EACCES",
    "linkat": "EIO",
    "flock": "EAGAIN",
    "ftruncate": "EIO",
    "lseek": "EIO",
    "preadv,preadv2": "EIO",
    "fstatfs": "EIO",
    "fcntl": "EIO",
}
"""Calls that the interpreter makes as well, at its start: they fail where they are about the folder or its files."""
OF_OURS = {
    "fsync": "EIO",
    "connect": "EADDRNOTAVAIL",
    "socket": "EMFILE",
    "recvfrom": "ECONNRESET",
    "sendto": "EPIPE",
    "splice": "ECONNRESET",
    "pipe2": "EMFILE",
    "epoll_create1": "EMFILE",
    "clone3,clone": "EAGAIN",
}
BORNE = {
    "utimensat": "EPERM",
    "linkat": "EPERM",
    "flock": "ENOLCK",
    "fsync": "EINVAL",
    "splice": "EINVAL",
}
"""There is another way."""
PASSING = {"recvfrom": "EAGAIN", "sendto": "EAGAIN", "epoll_wait": "EINTR", "poll": "EINTR"}
"""It does not last: every other call is as it should be."""


def cases(calls: dict[str, str], *whens: str) -> list[tuple[str, str, str]]:
    return [(call, error, when) for call, errors in calls.items() for error in errors.split() for when in whens]


def where(folder: Path) -> list[Path]:
    """The folder and the files in it, those of which there is not one yet among them."""
    return [folder, *(folder / f"{dot}{name}{suffix}" for name in SERVED for dot, suffix in ALL_NAMES)]


ALL_NAMES = (("", ""), (".", ".part"), (".", ".note"))


@pytest.mark.parametrize(("calls", "error", "when"), cases(ABOUT_FILES, "1+", "4+"))
def test_whatever_fails_of_its_files_it_ends_honestly(
    server: ServerProcess, folder: Path, tmp_path: Path, calls: str, error: str, when: str
) -> None:
    injection = Injection(tmp_path, calls, f"error={error}:when={when}", *where(folder))
    code, said = ended(injection.around(get(server, folder, *SERVED)))
    assert injection.count or when != "1+"
    assert_honest(code, said, folder)
    assert_all_is_had(server, folder)


@pytest.mark.parametrize(("calls", "error", "when"), [*cases(OF_OURS, "1+", "5+"), ("epoll_ctl", "ENOMEM", "1+")])
def test_whatever_fails_of_its_connection_it_ends_honestly(
    server: ServerProcess, folder: Path, tmp_path: Path, calls: str, error: str, when: str
) -> None:
    injection = Injection(tmp_path, calls, f"error={error}:when={when}")
    code, said = ended(injection.around(get(server, folder, *SERVED)))
    assert injection.count or when != "1+"
    assert_honest(code, said, folder)
    assert_all_is_had(server, folder)


@pytest.mark.parametrize(("calls", "error", "when"), [*cases(BORNE, "1+"), *cases(PASSING, "1+2")])
def test_what_there_is_another_way_for_is_no_failure(
    server: ServerProcess, folder: Path, tmp_path: Path, calls: str, error: str, when: str
) -> None:
    injection = Injection(tmp_path, calls, f"error={error}:when={when}")
    code, said = ended(injection.around(get(server, folder, *UNDAMAGED)))
    assert injection.count
    assert_honest(code, said, folder)
    assert code == ExitCode.DONE, said


@pytest.mark.parametrize("most", range(6, 12))
def test_however_few_descriptors_it_has_it_ends_honestly(server: ServerProcess, folder: Path, most: int) -> None:
    code, said = ended(get(server, folder, *SERVED), most)
    assert_honest(code, said, folder)
    assert_all_is_had(server, folder)
