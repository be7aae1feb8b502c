"""What must be so when everyone has gone: all seats free, nothing left open, a clean log, an end at SIGTERM."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path

from tests.soak.gauge import Gauge
from tests.soak.stage import NoSeat, Stage
from tests.soak.waiting import wait_until

EXPECTED = re.compile(
    r"#error\] Client\d+ is cut off: The file ended \d+ bytes before the size that was promised\.$"
    r"|OutageLog#warn\] The engine at \S+ is away: it does not answer in time\."
)
"""What may be in the log: what the disk did to a transfer, and that the engine has to wait for a busy machine."""
SUSPICIOUS = re.compile(r"#(warn|error|critical)\]|Traceback|Unhandled|Error:")


def check_seats(stage: Stage) -> None:
    """Nobody is left, and every seat can be had, and not one more."""
    wait_until(lambda: _present(stage) == 1, "somebody is left in status")
    with ExitStack() as stack:
        for _ in range(stage.seats):
            stack.enter_context(stage.seated())
        assert not _can_come_in(stage), "more clients than seats"


def _can_come_in(stage: Stage) -> bool:
    try:
        stage.seated().close()
    except NoSeat:
        return False
    return True


def _present(stage: Stage) -> int:
    with stage.seated() as client:
        count = int(client.ask(b"status").split()[1])
        return sum(client.line().split()[3] == b"-" for _ in range(count))


def check_descriptors(gauge: Gauge) -> None:
    """As many are open as before the first client came."""
    wait_until(lambda: gauge.descriptors() == gauge.samples[0].descriptors, "descriptors are left open")


def check_end(pid: int) -> None:
    """SIGTERM ends the server, by that signal."""
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: _ended_by(pid) == signal.SIGTERM, "SIGTERM did not end it")


def _ended_by(pid: int) -> int:
    """The signal that has ended the child, which is left for whoever started it; 0 while it runs."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return ended.si_status if ended else 0


def check_log(log: Path) -> None:
    """No error but those that were provoked."""
    with log.open(errors="replace") as lines:
        found = [line.rstrip() for line in lines if SUSPICIOUS.search(line) and not EXPECTED.search(line)]
    assert not found, f"{len(found)} lines of the log, the first: {found[0]}"
