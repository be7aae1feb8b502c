"""More clients at once than there are seats: the limit holds, and those who are refused are not kept."""

from __future__ import annotations

import time
from contextlib import ExitStack
from random import Random

from chatfile.lines import LineProtocol
from tests.soak.limits import check_not_late
from tests.soak.stage import NoSeat, Stage
from tests.soak.waiting import await_hangup
from tests.support.processes import RawClient


def throng(stage: Stage, rng: Random) -> None:
    """Half as many again as there are seats; those who are refused linger."""
    with ExitStack() as stack:
        began = time.monotonic()
        clients = [stack.enter_context(stage.connect()) for _ in range(stage.seats * 3 // 2)]
        refused = [client for client in clients if not _is_seated(stage, client)]
        told = time.monotonic()
        if told - began < stage.limits.idle:  # later, some have been sent away, and others had their seats
            assert len(refused) >= len(clients) - stage.seats, "more clients than seats"
        for client in refused:
            await_hangup(client)
        stage.tally.count("refused ones gone in time", len(refused))
        check_not_late(told, LineProtocol.LINGER)
        for client in clients:
            if client not in refused:
                _leave(stage, client, rng)


def _is_seated(stage: Stage, client: RawClient) -> bool:
    try:
        stage.greeted(client)
    except NoSeat:
        return False
    return True


def _leave(stage: Stage, client: RawClient, rng: Random) -> None:
    rng.choice([client.close, client.reset, client.half_close, lambda: client.send(b"exit\n")])()
