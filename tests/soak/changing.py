"""Downloads of files that change meanwhile: whole, or failed for a reason and not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

from twisted.internet.threads import deferToThread

from chatfile.client import ChatFileClient
from chatfile.downloads import Download, download
from tests.soak.disk import CHANGES, LENGTH, MIXED, Disk
from tests.soak.good import GoodTurn
from tests.soak.records import versions
from tests.soak.stage import Stage

Progress = Callable[[int], None]


def changing_under(disk: Disk) -> GoodTurn:
    """An actor that asks for a change in the middle of each download."""

    async def changing(stage: Stage, rng: Random) -> None:
        for name in rng.sample(list(CHANGES), len(CHANGES)):
            await _visit(stage, name, _change_behind(disk, rng.randrange(LENGTH)))

    return changing


async def _visit(stage: Stage, name: str, progress: Progress) -> None:
    client = await stage.client()
    try:
        with tempfile.TemporaryDirectory(dir=stage.scratch) as folder:
            await _fetch(stage, client, name, folder, progress)
    finally:
        client.abort()


def _change_behind(disk: Disk, left: int) -> Progress:
    """As the progress of a download: has the disk changed when so many bytes have come."""

    def progress(count: int) -> None:
        nonlocal left
        if 0 < left <= count:
            disk.now.set()
        left -= count

    return progress


async def _fetch(stage: Stage, client: ChatFileClient, name: str, folder: str, progress: Progress) -> None:
    _, failures = CHANGES[name]
    stage.tally.count("requests")
    try:
        whole = await download(client, name, folder, progress=progress)
    except failures:
        assert name not in os.listdir(folder), "what failed has its final name"
        stage.tally.count("changing files refused or found out")
    else:
        await deferToThread(_check, whole)
        for what, times in {"changing files whole": 1, "bytes": whole.size, "digests verified": 1}.items():
            stage.tally.count(what, times)


def _check(whole: Download) -> None:
    content = Path(whole.path).read_bytes()
    assert whole.verified
    assert len(content) == whole.size
    assert len(versions(content)) <= 1 or whole.name in MIXED, f"{whole.name} is of several versions"
