"""What of a file is in memory: looked at in samples, known by the kind of the file system, or brought in by reading."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatfile.sending import memory

CONTENT = bytes(range(251)) * 40_000
IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "a").write_bytes(CONTENT)
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_what_was_just_written_is_in_memory(descriptor: int) -> None:
    assert memory.are_cached(descriptor, 0, len(CONTENT)) is not False
    assert memory.are_cached(descriptor, len(CONTENT) - 1, 1) is not False


def test_no_more_is_read_than_there_is(descriptor: int) -> None:
    assert memory.read_through(descriptor, 0, 2 * len(CONTENT)) == len(CONTENT)
    assert memory.read_through(descriptor, 5, 7) == 12
    assert memory.read_through(descriptor, len(CONTENT), 7) == len(CONTENT)


def test_a_slow_disk_gives_what_it_has_given(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(memory.time, "monotonic", lambda: next(now))
    assert memory.read_through(descriptor, 0, len(CONTENT)) == memory._BUFFER


@pytest.mark.parametrize("missing", [0, memory._STRIDE, len(CONTENT) - 1])
def test_a_look_finds_the_first_and_the_last_byte_and_some_between(
    monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    def preadv(_: int, __: object, offset: int, ___: int) -> int:
        if offset == missing:
            raise BlockingIOError
        return 1

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(memory, "_NOWAIT", 8)
    assert memory.are_cached(0, 0, len(CONTENT)) is False
    monkeypatch.setattr(memory, "_NOWAIT", None)
    assert memory.are_cached(0, 0, len(CONTENT)) is None


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EIO])
def test_a_file_system_that_cannot_tell_is_not_taken_at_its_word(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "not here")

    monkeypatch.setattr(os, "preadv", refuse)
    monkeypatch.setattr(memory, "_NOWAIT", 8)
    assert memory.are_cached(descriptor, 0, 1) is None


@pytest.mark.parametrize(("number", "expected"), [(errno.EAGAIN, 0), (errno.EOPNOTSUPP, None), (errno.EIO, None)])
def test_to_read_without_waiting_fails_as_the_system_says(
    descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int, expected: int | None
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, "not now")

    buffer = memoryview(bytearray(10))
    if memory._NOWAIT is not None:
        assert memory.read_cached(descriptor, buffer, 0) in (None, 10)
    monkeypatch.setattr(os, "preadv", refuse)
    monkeypatch.setattr(memory, "_NOWAIT", 8)
    assert memory.read_cached(descriptor, buffer, 0) == expected
    monkeypatch.setattr(memory, "_NOWAIT", None)
    assert memory.read_cached(descriptor, buffer, 0) is None


MOUNTS = b"""\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw
24 22 0:22 / /a\\040folder rw shared:6 master:1 - %b tmpfs rw,size=1k
25 22 0:220 / /other rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("kind", "device", "expected"),
    [("tmpfs", (0, 22), True), ("ramfs", (0, 22), True), ("fuse.tmpfs", (0, 22), False), ("tmpfs", (254, 0), False),
     ("tmpfs", (0, 220), False), ("tmpfs", (0, 2), False), ("tmpfs", (9, 9), False)],
)  # fmt: skip
def test_the_table_of_mounts_tells_of_what_kind_a_file_system_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, device: tuple[int, int], expected: bool
) -> None:
    class Status:
        st_dev = os.makedev(*device)

    (tmp_path / "mountinfo").write_bytes(MOUNTS % kind.encode())
    monkeypatch.setattr(memory, "_MOUNTS", str(tmp_path / "mountinfo"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda _: Status)
        found = memory.is_always_in_memory(0)
    assert found is expected


def test_without_such_a_table_nothing_is_known(
    descriptor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MOUNTS", str(tmp_path / "missing"))
    assert memory.is_always_in_memory(descriptor) is False


@pytest.mark.skipif(not IN_MEMORY.is_dir() or not Path(memory._MOUNTS).exists(), reason="there is no such folder here")
def test_the_systems_own_folder_in_memory_is_known() -> None:
    descriptor = os.open(IN_MEMORY, os.O_RDONLY)
    try:
        assert memory.is_always_in_memory(descriptor)
        assert memory.bring_in(descriptor, 0, 1 << 40) is None
    finally:
        os.close(descriptor)
