from __future__ import annotations

from pathlib import Path

import pytest

from tests.metrics.browsing import MetricsPort
from tests.support.serving import Server


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path, limit=2, places=1)
    server.put("a", b"x" * 1000)
    return server


@pytest.fixture
def port(server: Server) -> MetricsPort:
    return MetricsPort(server)
