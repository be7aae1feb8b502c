"""Lines over a connection: the splitter, which is pure, and the protocol that both ends extend."""

from __future__ import annotations

from chatfile.lines.protocol import ConnectionState, LineProtocol, PauseReason

__all__ = ["ConnectionState", "LineProtocol", "PauseReason"]
