"""The line protocol that both ends extend.

Twisted's `LineReceiver` with its contract kept (`lineReceived`, `setRawMode`, `setLineMode`, pausing) and its edges
replaced: cost linear in the bytes (twisted#6357), recovery behind a line that is too long (twisted#3277, #6559), LF
or CR LF as the end, telnet's bytes removed, turns, half-close, and a close that loses nothing.
"""

from __future__ import annotations

from chatfile.lines.protocol import LineProtocol
from chatfile.lines.states import Input, PauseReason, Phase

__all__ = ["Input", "LineProtocol", "PauseReason", "Phase"]
