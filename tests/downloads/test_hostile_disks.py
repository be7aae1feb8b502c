"""Downloads into folders where others plant, swap and remove things, and onto disks that fill up."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from chatfile import errors
from chatfile.client import connect
from chatfile.downloads import download
from tests.support.hostile import GREET, Do, Hear, HostileServer, Send, Step
from tests.support.trees import tree

Hostile = Callable[..., HostileServer]
CONTENT = bytes(range(256)) * 300
SIZE = len(CONTENT)
TIME = b"2026-11-22T12:00:00Z"
HEADER = b"FILE %d %s a\n" % (SIZE, TIME)
END = b"END %s\n" % hashlib.sha256(CONTENT).hexdigest().encode()
FILE: list[Step] = [*GREET, Hear(b"get a"), Send(HEADER + CONTENT + END), Do.STALL]
DAMAGED: list[Step] = [*GREET, Hear(b"get a"), Send(HEADER + CONTENT[::-1] + END), Do.STALL]
REFUSED: list[Step] = [*GREET, Hear(b"get a"), Send(b"ERROR no-such-file No.\n"), Do.STALL]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of downloads, with files of somebody else beside it and in it."""
    (tmp_path / "mine").write_bytes(b"mine")
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "other").write_bytes(b"other")
    return folder


async def get(server: HostileServer, folder: Path, **options: Any) -> Any:
    """The download of `a`, or its error."""
    client = await connect(f"tcp:127.0.0.1:{server.port}")
    try:
        return await download(client, "a", str(folder), **options)
    except errors.ChatFileError as error:
        return error
    finally:
        client.abort()
        await client.closed


def once(act: Callable[[], object]) -> Callable[[int], None]:
    """A `progress` that acts when the first bytes have come: in the middle of the download."""
    acts = [act]
    return lambda _: acts.pop()() and None if acts else None


# --- what happens to the part file meanwhile ---


def replace_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / ".a.part").unlink()
        make(folder / ".a.part")

    return act


MEANWHILE = {
    "removed": lambda folder: (folder / ".a.part").unlink(),
    "renamed": lambda folder: (folder / ".a.part").rename(folder / "moved"),
    "a link": replace_by(lambda part: part.symlink_to("other")),
    "a link to outside": replace_by(lambda part: part.symlink_to("../mine")),
    "a dangling link": replace_by(lambda part: part.symlink_to("nowhere")),
    "a second name": replace_by(lambda part: part.hardlink_to(part.parent / "other")),
    "another download": replace_by(lambda part: part.write_bytes(CONTENT[:100])),
    "another that is as long": replace_by(lambda part: part.write_bytes(CONTENT[::-1])),
    "a FIFO": replace_by(os.mkfifo),
    "a folder": replace_by(Path.mkdir),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("steps", [FILE, DAMAGED], ids=["whole", "damaged"])
@pytest_twisted.ensureDeferred
async def test_what_takes_the_place_of_the_part_file_is_left_alone(
    hostile: Hostile, folder: Path, meanwhile: str, steps: list[Step]
) -> None:
    after: dict[str, Any] = {}

    def act() -> None:
        MEANWHILE[meanwhile](folder)
        after.update(tree(folder.parent))

    assert isinstance(await get(hostile(steps), folder, progress=once(act)), errors.ChatFileError)
    left = tree(folder.parent)
    assert "downloads/a" not in left
    for name in ("mine", "downloads/other", "downloads/.a.part"):
        assert left.get(name) == after.get(name)


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [(REFUSED, errors.NoSuchFile), (DAMAGED, errors.DigestMismatch), (FILE, errors.LocalFileError)],
)
@pytest_twisted.ensureDeferred
async def test_names_that_can_not_be_removed_do_not_change_what_is_told(
    hostile: Hostile, folder: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Step], outcome: type[Exception]
) -> None:
    def refuse(name: str, *, dir_fd: int) -> None:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "unlink", refuse)
    assert type(await get(hostile(steps), folder)) is outcome
    monkeypatch.undo()
    assert not (folder / "a").exists()
    assert (folder / ".a.part").stat().st_size == (SIZE if steps is FILE else 0)


# --- what belongs to somebody else ---

NOBODY = 65534


def give(path: Path) -> None:
    """Let another user own it."""
    try:
        os.chown(path, NOBODY, NOBODY)
    except PermissionError:
        pytest.skip("files can't be given to another user here")


@pytest.mark.parametrize("begun", [0, 1000, SIZE])
@pytest.mark.parametrize("force", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_part_file_of_another_user_is_not_taken_over(
    hostile: Hostile, folder: Path, begun: int, force: bool
) -> None:
    for name, content in ((".a.part", CONTENT[:begun]), (".a.note", b"[%d, 1795348800]" % SIZE)):
        (folder / name).write_bytes(content)
        give(folder / name)
    before = tree(folder)
    server = hostile([*FILE])
    refused = await get(server, folder, force=force)
    assert type(refused) is errors.LocalFileError
    assert "another user" in str(refused)
    assert tree(folder) == before
    assert (folder / ".a.part").stat().st_uid == NOBODY


@pytest_twisted.ensureDeferred
async def test_nor_is_it_removed_where_the_file_came_by_another_way(hostile: Hostile, folder: Path) -> None:
    (folder / ".a.part").write_bytes(CONTENT[:9])
    give(folder / ".a.part")
    (folder / "a").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest().encode()
    said = Send(b"HASH %s %d %s a\n" % (digest, SIZE, TIME))
    assert (await get(hostile([*GREET, Hear(b"hash a"), said, Do.STALL]), folder, listed_size=SIZE)).already
    assert (folder / ".a.part").exists()


@pytest_twisted.ensureDeferred
async def test_where_all_files_seem_to_be_another_users_ours_are_ours(
    hostile: Hostile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mtime = 1_795_348_800
    (folder / ".a.part").write_bytes(CONTENT[:1000])
    (folder / ".a.note").write_bytes(b"[%d, %d]" % (SIZE, mtime))
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    rest = Send(b"FILE %d %s a\n" % (SIZE - 1000, TIME) + CONTENT[1000:] + END)
    saved = await get(hostile([*GREET, Hear(b"resume 1000 a"), rest, Do.STALL]), folder)
    assert (saved.resumed_from, saved.verified) == (1000, True)
    assert sorted(tree(folder)) == ["a", "other"]
