"""How long a program takes that has little to do."""

from __future__ import annotations

import sys

from tests.bench import peers
from tests.bench.measure import Figures, alternate, seconds_of
from tests.bench.registry import at_most, benchmark
from tests.bench.session import Session

TIMES = 4
"""Short runs vary: so many for each that was asked for."""


@benchmark("start", "chatfile-client status, the whole process, against Python that imports a reactor", at_most(1.5))
def start(session: Session) -> Figures:
    """Both end at once."""
    with peers.chatfile(session.scratch, session.folder) as server:
        status = [str(peers.SCRIPTS / "chatfile-client"), "-s", f"127.0.0.1:{server.port}", "status"]
        bare = [sys.executable, "-c", "from twisted.internet import reactor"]
        return alternate("s", TIMES * session.runs, lambda: seconds_of(status), lambda: seconds_of(bare))
