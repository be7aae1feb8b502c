"""What a client waits for: one object for each request under way, which takes the lines of its reply."""

from __future__ import annotations

from chatfile.pending.files import Accept, FilePending, Received
from chatfile.pending.replies import AckPending, LinePending, Pending, RowsPending, TextPending

__all__ = ["Accept", "AckPending", "FilePending", "LinePending", "Pending", "Received", "RowsPending", "TextPending"]
