"""Lines over a connection: the splitter, which is pure, and the protocol that both ends extend."""

from __future__ import annotations

from chatfile.lines.protocol import LineProtocol
from chatfile.lines.states import ConnectionState, PauseReason

__all__ = ["ConnectionState", "LineProtocol", "PauseReason"]
