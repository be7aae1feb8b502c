"""Sentinels replace the engine, while clients come and go: the limit, the names, and who is told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.cluster.test_crowds import Crowd
from tests.support.nodes import FULL, UNAVAILABLE, cluster, present
from tests.support.processes import wait_until
from tests.support.redis import Redis, needs_redis
from tests.support.sentinels import Sentinels, needs_sentinel

pytestmark = [needs_redis, needs_sentinel, pytest.mark.slow]


@pytest.mark.parametrize("end", [Redis.kill, Redis.freeze])
def test_another_engine_becomes_the_master(folder: Path, tmp_path: Path, end: object) -> None:
    assert callable(end)
    with Sentinels(tmp_path) as sentinels, cluster(folder, sentinels.url, lease=3) as (a, b):
        inside = [a.enter(), b.enter()]
        sentinels.kill_one()
        crowd = Crowd([a, b], 6)
        running = threading.Thread(target=crowd.run, args=(9,))
        running.start()
        old, new = sentinels.engines
        threading.Event().wait(1)
        end(old)
        line, seconds = a.turned_away()
        assert (line.startswith((UNAVAILABLE, FULL)), seconds < 1.3) == (True, True)
        assert inside[0].ask(b"hash small.txt").startswith(b"HASH ")
        running.join()
        assert crowd.most <= 1
        assert len(set(crowd.names)) == len(crowd.names) > 2
        assert crowd.told[b"unavailable"] > 0
        wait_until(lambda: new.taken == 2)
        assert present(inside[0]) == present(inside[1]) == ["Client01", "Client02"]
        last = max(int(name.removeprefix("Client")) for name in crowd.names)
        client, name = b.enter_as()
        assert int(name.removeprefix(b"Client")) > last
        if end is Redis.freeze:
            old.thaw()
            wait_until(lambda: "role:slave" in old.ask("INFO", "replication"))
        assert a.refusal().startswith(FULL)
        client.close()
        a.enter()
        for node in (a, b):
            assert node.log.count("#warn") < 20
