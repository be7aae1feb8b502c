"""Replies that were asked for and are due: what a client makes of their lines, and of the bytes of a file."""

from __future__ import annotations

from chatfile.pending.files import Accept, Content, FileRequest, PendingContent, PendingFile, Received
from chatfile.pending.replies import PendingAck, PendingLine, PendingReply, PendingRows, pending_help, pending_tree

__all__ = [
    "Accept",
    "Content",
    "FileRequest",
    "PendingAck",
    "PendingContent",
    "PendingFile",
    "PendingLine",
    "PendingReply",
    "PendingRows",
    "Received",
    "pending_help",
    "pending_tree",
]
