"""What a node asks of the engine, without its clients: `python admitting.py PORT AT_ONCE SECONDS`.

Says `ready` when it is let in, begins when a line comes, and prints the seconds of each admission.
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
LIMIT = 1000
"""More than are ever taken: the engine learns a moment later that one has left."""


def _admission(reactor: Any, port: str) -> SharedAdmission:
    address = read_engine_address(f"redis://127.0.0.1:{port}")
    endpoint = engine_endpoint(address, patience(LEASE), reactor)
    node = os.urandom(8).hex()
    engine = Engine(address, endpoint, reactor, keys=keys("chatfile"), node=node, lease=LEASE, history=HISTORY)
    return SharedAdmission(engine, reactor, time.time, lease=LEASE, limit=LIMIT, limit_per_address=0, capacity=LIMIT)


async def _wait_until_open(reactor: Any, admission: SharedAdmission) -> None:
    while True:
        try:
            (await admission.admit("127.0.0.1:1", "127.0.0.1")).release()
        except errors.Unavailable:
            await deferLater(reactor, 0.02)
        else:
            return


async def _admit(admission: SharedAdmission, until: float) -> list[float]:
    """One after the other, each of which leaves at once."""
    took: list[float] = []
    while (began := time.monotonic()) < until:
        seat = await admission.admit("127.0.0.1:1", "127.0.0.1")
        took.append(time.monotonic() - began)
        seat.release()
    return took


async def main(reactor: Any, port: str, at_once: str, seconds: str) -> None:
    """Join, measure, leave."""
    use_monotonic_clock(reactor)
    admission = _admission(reactor, port)
    admission.start()
    await _wait_until_open(reactor, admission)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await deferToThread(sys.stdin.readline)
    until = time.monotonic() + float(seconds)
    took = await gatherResults(
        [Deferred.fromCoroutine(_admit(admission, until)) for _ in range(int(at_once))], consumeErrors=True
    )
    sys.stdout.writelines(f"{each:.9f}\n" for some in took for each in some)
    await admission.stop()


if __name__ == "__main__":
    react(lambda *arguments: Deferred.fromCoroutine(main(*arguments)), sys.argv[1:])
