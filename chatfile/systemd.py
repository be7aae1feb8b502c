"""What systemd is told of the service, as sd_notify(3) has it: ready, alive, reloading, going down."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, MutableMapping
from enum import Enum

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

BEAT = 10.0
"""Seconds between two messages at most; a watchdog may want them more often."""
EXTENSION = 3 * BEAT
"""Seconds that each message of a drain asks for beyond `TimeoutStopSec=`: the next comes before they are over."""
_MICROSECONDS = re.compile("[1-9][0-9]{0,18}")


class _Phase(Enum):
    SERVING = "Serving"
    RELOADING = "Reading settings anew"
    STOPPING = "Going down"


class SystemdNotifier:
    """Tells systemd how the service is, by datagrams that never wait, and that the reactor turns, by a beat of them.

    What can't be told is in the log, once, and disturbs nothing else.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, environment: MutableMapping[str, str], status: Callable[[], str]) -> None:
        """Take `NOTIFY_SOCKET`, which has to be there, and the watchdog's variables out of `environment`.

        `clock` is the reactor, with the system's monotonic clock. `status()` is a line for `systemctl status`, asked
        for at each beat. Nothing is sent before `start`.
        """
        address = environment.pop("NOTIFY_SOCKET")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_pid = environment.pop("WATCHDOG_PID", "")
        self._watchdog = _seconds(environment.pop("WATCHDOG_USEC", ""))
        self._clock = clock
        self._status = status
        self._phase = _Phase.SERVING
        self._beat = LoopingCall(self._tell)
        self._beat.clock = clock
        self._socket: socket.socket | None = None
        self._unsent: dict[str, str] = {}
        self._why_not = ""

    def start(self) -> None:
        """Say that the ports are open, and begin to beat; call it in the process that serves, which a fork may be."""
        if self._watchdog_pid not in ("", str(os.getpid())):  # it is meant for another process: sd_watchdog_enabled(3)
            self._watchdog = 0.0
        self.ready()
        interval = min(BEAT, self._watchdog / 2 or BEAT)
        beating = self._beat.start(interval, now=False)
        beating.addErrback(lambda failure: self.log.failure("Telling systemd has failed", failure))

    def reloading(self) -> None:
        """Say that settings are read anew; `ready` has to follow, whatever comes of it."""
        if self._phase is _Phase.SERVING:
            self._phase = _Phase.RELOADING
            # The reactor's clock is CLOCK_MONOTONIC, which is what systemd compares it with.
            self._tell(RELOADING="1", MONOTONIC_USEC=str(int(self._clock.seconds() * 1e6)))

    def ready(self) -> None:
        """Say that the service serves, at first or again."""
        if self._phase is not _Phase.STOPPING:
            self._phase = _Phase.SERVING
            self._tell(READY="1")

    def stopping(self) -> None:
        """Say that the service goes down; each beat from here on asks for more time, until `close`."""
        self._phase = _Phase.STOPPING
        self._tell(STOPPING="1")

    def close(self) -> None:
        """Tell nothing more."""
        if self._beat.running:
            self._beat.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, **variables: str) -> None:
        """Send `variables`, behind those that could not be sent yet, and what belongs to each beat."""
        for name in variables.keys() & self._unsent.keys():
            del self._unsent[name]  # of READY, RELOADING and STOPPING in one message, the last one holds
        self._unsent |= variables
        try:
            self._send("\n".join(f"{name}={value}" for name, value in (self._unsent | self._of_a_beat()).items()))
        except BlockingIOError:
            return  # the queue is full: they go with the next beat
        except OSError as error:
            self._tell_why_not(error)
        self._unsent.clear()

    def _of_a_beat(self) -> dict[str, str]:
        beat = {"STATUS": f"{self._phase.value}: {self._status()}"}
        if self._watchdog:
            beat["WATCHDOG"] = "1"
        if self._phase is _Phase.STOPPING:
            beat["EXTEND_TIMEOUT_USEC"] = str(int(EXTENSION * 1e6))
        return beat

    def _send(self, message: str) -> None:
        if self._socket is None:  # kept open from the first message on, so that descriptors that run out stop no beat
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # not inherited by what is executed
            self._socket.setblocking(False)
        self._socket.sendto(message.encode(), self._address)

    def _tell_why_not(self, error: OSError) -> None:
        why = os.strerror(error.errno) if error.errno else str(error)
        if why != self._why_not:
            self._why_not = why
            self.log.warn("systemd can't be told how the service is: {why}", why=why, event="systemd")


def _seconds(microseconds: str) -> float:
    """Return the seconds of a variable in microseconds; 0 for what is no such number."""
    return int(microseconds) / 1e6 if _MICROSECONDS.fullmatch(microseconds) else 0.0
