"""Clients as they should be, by the library: every reply is checked, every download compared."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from chatfile import errors, wire
from chatfile.client import ChatFileClient
from chatfile.downloads import Download, download
from tests.soak.files import BIG, NOT_SERVED
from tests.soak.stage import Stage

GoodTurn = Callable[[Stage, Random], Awaitable[None]]
BURST = 200
TEXTS = ["", " ", "hello", "ERROR full of words", "a\ttab", "grüße 🎈", "status please", "x" * 4000]


@asynccontextmanager
async def visit(stage: Stage) -> AsyncIterator[ChatFileClient]:
    """A client that says goodbye at the end."""
    client = await stage.client()
    try:
        yield client
        await client.exit()
    finally:
        client.abort()


async def downloading(stage: Stage, rng: Random) -> None:
    """Some files, whole."""
    async with visit(stage) as client:
        for _ in range(rng.randint(1, 4)):
            name = stage.any_file(rng)
            with tempfile.TemporaryDirectory(dir=stage.scratch) as folder:
                await _check(stage, await download(client, name, folder))


async def resuming(stage: Stage, rng: Random) -> None:
    """A download that is broken off, and goes on where it was."""
    with tempfile.TemporaryDirectory(dir=stage.scratch) as folder:
        if await _break_off(stage, folder, rng.randrange(1, stage.files[BIG].size)):
            async with visit(stage) as client:
                whole = await download(client, BIG, folder)
                await _check(stage, whole)
                stage.tally.count("downloads resumed", bool(whole.resumed_from))


async def _break_off(stage: Stage, folder: str, after: int) -> bool:
    """Reset once so many bytes have come; False where all of them came all the same."""
    client = await stage.client()
    left = after

    def progress(count: int) -> None:
        nonlocal left
        left -= count
        if left <= 0:
            client.abort()

    try:
        await download(client, BIG, folder, progress=progress)
    except errors.ServerClosed:
        assert BIG not in os.listdir(folder), "what is not whole has its final name"
        stage.tally.count("resets survived")
        return True
    finally:
        client.abort()
    return False


async def _check(stage: Stage, whole: Download) -> None:
    """Compare what is on the disk with what was put on the server."""
    known = stage.files[whole.name]
    content = await deferToThread(Path(whole.path).read_bytes)
    assert whole.verified
    assert len(content) == whole.size == known.size
    assert hashlib.sha256(content).hexdigest() == whole.sha256 == known.sha256, f"{whole.name} is damaged"
    for what, times in {"requests": 1, "bytes": whole.size - whole.resumed_from, "digests verified": 1}.items():
        stage.tally.count(what, times)


async def talking(stage: Stage, rng: Random) -> None:
    """Everything that can be asked, one by one and many at a time."""
    async with visit(stage) as client:
        text = rng.choice(TEXTS)
        assert await client.send(text) == f"{text} ACK"
        burst = [f"{text[:100]} {number}" for number in range(BURST)]
        answers = gatherResults([client.send(each) for each in burst], consumeErrors=True)
        assert await answers == [f"{each} ACK" for each in burst]
        _check_status(stage, client, await client.status())
        _check_listing(stage, await client.listing())
        assert len(await client.help()) == len(wire.HELP_WITH_TREE)
        await _check_hash(stage, client, stage.any_file(rng))
        stage.tally.count("requests", BURST + 5)


def _check_status(stage: Stage, client: ChatFileClient, rows: list[wire.ClientRow]) -> None:
    present = [row.name for row in rows if row.disconnected is None]
    assert client.name in present, "a client is not in its own status"
    assert len(present) <= stage.seats, "more clients than seats"


def _check_listing(stage: Stage, rows: list[wire.FileRow]) -> None:
    names = [row.name for row in rows]
    assert names == sorted(set(names))
    assert not set(names) & set(NOT_SERVED)
    sizes = {row.name: row.size for row in rows if row.name in stage.files}
    assert sizes == {name: known.size for name, known in stage.files.items()}


async def _check_hash(stage: Stage, client: ChatFileClient, name: str) -> None:
    known, told = stage.files[name], await client.hash(name)
    assert (told.sha256, told.size) == (known.sha256, known.size)


async def refused(stage: Stage, rng: Random) -> None:
    """What can't be had is refused, and the conversation goes on."""
    async with visit(stage) as client:
        for name in NOT_SERVED:
            with tempfile.TemporaryFile() as nowhere:
                try:
                    await client.get(name, nowhere.fileno())
                except errors.NoSuchFile:
                    stage.tally.count("requests")
                else:
                    raise AssertionError(f"{name} can be had")


GOOD: list[GoodTurn] = [downloading, downloading, resuming, talking, refused]
