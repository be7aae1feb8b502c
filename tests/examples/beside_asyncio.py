"""Fetches files in a program of asyncio's, beside its own tasks: python beside_asyncio.py PORT NAME..."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred

from chatfile.client import connect
from chatfile.downloads import download

T = TypeVar("T")


def future(coroutine: Coroutine[Deferred[Any], Any, T]) -> asyncio.Future[T]:
    """What Twisted runs, as something for asyncio to wait for; who cancels the one cancels the other."""
    return Deferred.fromCoroutine(coroutine).asFuture(asyncio.get_running_loop())


async def fetch(port: str, *names: str) -> None:
    asyncioreactor.install(asyncio.get_running_loop())
    from twisted.internet import reactor  # only now: it is the one that was installed first

    reactor.startRunning(installSignalHandlers=False)  # type: ignore[attr-defined]
    try:
        client = await future(connect(f"tcp:127.0.0.1:{port}"))
        for name in names:
            saved = await asyncio.wait_for(future(download(client, name, ".")), timeout=60)
            sys.stdout.write(f"{saved.path} {saved.sha256}\n")
        await client.exit().asFuture(asyncio.get_running_loop())
    finally:
        reactor.getThreadPool().stop()  # type: ignore[attr-defined] # or its threads keep the program from ending


async def main(*arguments: str) -> None:
    turns = 0

    async def something_else() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    other = asyncio.create_task(something_else())
    await fetch(*arguments)
    other.cancel()
    sys.stdout.write(f"and {turns} turns of something else\n")


asyncio.run(main(*sys.argv[1:]))
