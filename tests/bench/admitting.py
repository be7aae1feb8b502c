"""What a node asks of the engine, without its clients: `python admitting.py PORT LIMIT AT_ONCE SECONDS`.

Says `ready` when the engine lets clients in. For each line that comes, it asks for so many seconds,
and prints those until each answer in one line.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

from chatfile import errors
from chatfile.cluster import Engine, SharedAdmission, engine_endpoint, keys, patience, read_engine_address
from chatfile.timeouts import use_monotonic_clock

LEASE = 3.0
HISTORY = 1000
ADDRESS = "127.0.0.1:5000", "127.0.0.1"


def _admission(reactor: Any, port: str, limit: int) -> SharedAdmission:
    address = read_engine_address(f"redis://127.0.0.1:{port}")
    endpoint = engine_endpoint(address, patience(LEASE), reactor)
    node = os.urandom(8).hex()
    engine = Engine(address, endpoint, reactor, keys=keys("chatfile"), node=node, lease=LEASE, history=HISTORY)
    return SharedAdmission(engine, reactor, time.time, lease=LEASE, limit=limit, limit_per_address=0, capacity=limit)


async def _wait_until_open(reactor: Any, admission: SharedAdmission) -> None:
    while True:
        try:
            await _ask(admission)
        except errors.Unavailable:
            await deferLater(reactor, 0.02)
        else:
            return


async def _ask(admission: SharedAdmission) -> float:
    """Come, and leave at once; the seconds until the answer."""
    began = time.monotonic()
    try:
        seat = await admission.admit(*ADDRESS)
    except errors.Full:
        return time.monotonic() - began
    took = time.monotonic() - began
    seat.release()
    return took


async def _ask_again(admission: SharedAdmission, until: float) -> list[float]:
    took: list[float] = []
    while time.monotonic() < until:
        took.append(await _ask(admission))
    return took


async def _ask_at_once(admission: SharedAdmission, at_once: int, seconds: float) -> list[float]:
    until = time.monotonic() + seconds
    asking = [Deferred.fromCoroutine(_ask_again(admission, until)) for _ in range(at_once)]
    return [each for took in await gatherResults(asking, consumeErrors=True) for each in took]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(reactor: Any, port: str, limit: str, at_once: str, seconds: str) -> None:
    """Join, measure until there are no more lines, leave."""
    use_monotonic_clock(reactor)
    admission = _admission(reactor, port, int(limit))
    admission.start()
    await _wait_until_open(reactor, admission)
    _say("ready")
    while await deferToThread(sys.stdin.readline):
        took = await _ask_at_once(admission, int(at_once), float(seconds))
        _say(" ".join(f"{each:.6f}" for each in took))
    await admission.stop()


if __name__ == "__main__":
    react(lambda *arguments: Deferred.fromCoroutine(main(*arguments)), sys.argv[1:])
