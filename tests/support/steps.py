"""The steps of a session into which failures are put: what is asked for, and what must come of it on both disks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from chatfile import errors
from chatfile.digests import KnownDigests, Version
from chatfile.digests.keeper import DigestKeeper
from chatfile.downloads import Download, DownloadAhead, Mirror, download
from tests.support.joined import Joined
from tests.support.serving import OLD

CONTENT = bytes(range(251)) * 700
LARGE = {"whole": CONTENT, "begun": CONTENT[::-1], "old": CONTENT[1:], "damaged": CONTENT[2:], "empty": b""}
SMALL = {f"small-{number}": CONTENT[: 1000 * number] for number in range(1, 6)}
TREE = {"tree/new": b"new", "tree/newer": b"newer", "tree/deep/new": b"deep", "tree/same": b"same"}
SERVED = {**LARGE, **SMALL, **TREE}
MIRRORED = {path.replace("tree/", "mirror/"): content for path, content in TREE.items()}

MINE = b"mine"
OTHERS = {"stranger": MINE, ".other.part": MINE, ".other.note": MINE, "mirror/mine": MINE, "mirror/gone/mine": MINE}
"""What nobody has asked for."""
FETCHED = {"mirror/newer": b"new", "mirror/gone/gone": b"gone", "mirror/same": b"same"}
"""What an earlier mirror has fetched."""
PRESENT = {
    "old": MINE,
    ".begun.part": SERVED["begun"][:100_000],
    ".begun.note": b"[%d, %d]" % (len(SERVED["begun"]), OLD),
    ".damaged.part": bytes(100_000),
    ".damaged.note": b"[%d, %d]" % (len(SERVED["damaged"]), OLD),
    "small-1": SMALL["small-1"],
    "mirror/.chatfile-mirror": b"".join(
        b"%d 2017-07-14T02:40:00Z %s\n" % (len(content), path.replace("mirror/", "tree/").encode())
        for path, content in FETCHED.items()
    ),
    **FETCHED,
    **OTHERS,
}
ALLOWED = {
    path: {content, PRESENT.get(path, content)} for path, content in {**SERVED, **MIRRORED, **OTHERS, **FETCHED}.items()
}
ALLOWED["mirror/newer"] = {b"new", b"newer"}
STAYING = OTHERS.keys() | {"old", "small-1", "mirror/newer", "mirror/same"}
"""What is there at any time, be it one content or the other."""

Step = Callable[[Joined, str], Deferred[Any]]


def _step(ask: Callable[[Joined, str], Awaitable[Any]]) -> Step:
    return lambda joined, folder: Deferred.fromCoroutine(ask(joined, folder))  # type: ignore[arg-type]


def _fetch(name: str, *, force: bool = False) -> Step:
    async def ask(joined: Joined, folder: str) -> Download:
        try:
            return await download(joined.client, name, folder, force=force, in_thread=joined.in_thread)
        except errors.DigestMismatch:
            assert name == "damaged"
            return await download(joined.client, name, folder, force=force, in_thread=joined.in_thread)

    return _step(ask)


async def _download_each(joined: Joined, files: DownloadAhead | Mirror, count: int) -> None:
    """Have all of them, as the program does: each is tried, as long as there is a connection."""
    failures: list[errors.ChatFileError] = []
    for number in range(count):
        try:
            await files.download(joined.client, number)
        except errors.ChatFileError as error:
            failures.append(error)
            if not joined.client.is_receiving:
                break
    files.close()
    if failures:
        raise failures[0]


async def _together(joined: Joined, folder: str) -> None:
    rows = [row for row in await joined.client.listing() if row.name in SMALL]
    ahead = DownloadAhead(rows, folder, by_digest=True, in_thread=joined.in_thread)
    await _download_each(joined, ahead, len(rows))


async def _mirror(joined: Joined, folder: str) -> None:
    rows = await joined.client.tree("tree")
    mirror = Mirror(list(rows), "tree", f"{folder}/mirror", in_thread=joined.in_thread)
    try:
        await mirror.begin()
        await mirror.remove_gone(lambda *_: None)
        await _download_each(joined, mirror, len(mirror.rows))
    finally:
        await mirror.finish()


class Here:
    """Carries out the tasks of a thread at once."""

    def do(self, task: Callable[[], None]) -> None:
        task()

    def quit(self) -> None:
        pass


VERSIONS: list[tuple[Version, str]] = [
    ((1, inode, 10, OLD, OLD + change), hashlib.sha256(b"%d %d" % (inode, change)).hexdigest())
    for change in (1, 2, 3)
    for inode in (1, 2)
]
"""Of two files, each of which has changed twice: what was written first is stale."""


async def _keep(_: Joined, folder: str) -> None:
    """Two lives of a server, of which the second knows again what the first one has kept, or less."""
    known: list[KnownDigests] = []
    os.makedirs(f"{folder}/state", exist_ok=True)
    for _life in range(2):
        known.append(KnownDigests())
        keeper = DigestKeeper(f"{folder}/state", known[-1], lambda call, *them, **named: call(*them, **named))
        keeper.start(Here)
        for version, sha256 in VERSIONS if len(known) == 1 else ():
            known[-1].add(version, sha256)
        await keeper.close()
    found = {version: known[1].find(version) for version, _sha256 in VERSIONS}
    assert all(found[version] in (sha256, None) for version, sha256 in VERSIONS), found
    if not all(found[version] for version, _sha256 in VERSIONS[-2:]):
        raise errors.LocalFileError(path="digests", why="not all of them are known again")


STEPS: dict[str, Step] = {
    "list": lambda joined, _: joined.client.listing(),
    "tree": lambda joined, _: joined.client.tree(),
    "hash": lambda joined, _: joined.client.hash("begun"),
    "whole": _fetch("whole"),
    "begun": _fetch("begun"),
    "damaged": _fetch("damaged"),
    "old": _fetch("old", force=True),
    "empty": _fetch("empty"),
    "together": _step(_together),
    "mirror": _step(_mirror),
    "digests": _step(_keep),
}


def is_right(step: str, result: Any, there: dict[str, bytes]) -> bool:
    """Whether that is what was asked for, and everything is there."""
    if step == "list":
        return [row.name for row in result] == sorted(LARGE | SMALL)
    if step == "tree":
        return [row.name for row in result] == sorted(SERVED)
    if step == "hash":
        return bool(result.sha256 == hashlib.sha256(SERVED["begun"]).hexdigest())
    if step == "together":
        return SMALL.items() <= there.items()
    if step == "mirror":
        return MIRRORED.items() <= there.items() and "mirror/gone/gone" not in there
    return step == "digests" or (result.verified and there[step] == SERVED[step])


def is_noted(there: dict[str, bytes]) -> bool:
    """Whether the mirror knows again what it has fetched, and that it has removed a file."""
    noted = {line.partition(b"Z ")[2].decode() for line in there["mirror/.chatfile-mirror"].splitlines()}
    return noted == set(TREE)


def is_honest(error: BaseException) -> bool:
    """Whether it is one of the failures that such faults may be told as."""
    if isinstance(error, errors.Refusal):
        return error.code in ("unavailable", "changed", "no-such-file")
    return isinstance(error, errors.LocalFileError | errors.ServerClosed)


def contents(folder: Path) -> dict[str, bytes]:
    """The files below `folder`, by their paths."""
    paths = (os.path.join(root, name) for root, _, names in os.walk(folder) for name in names)
    return {os.path.relpath(path, folder): Path(path).read_bytes() for path in paths}


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    """Let `folder` hold these files and no others."""
    there = contents(folder)
    for name in there.keys() - files.keys():
        (folder / name).unlink()
    for name, content in files.items():
        if there.get(name) != content or (folder / name).stat().st_mtime != OLD:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            os.utime(folder / name, (OLD, OLD))
