"""A byte range of a file, moved onto a transport: exactly, in bounded pieces, whatever the disk and the peer do."""

from __future__ import annotations

import os
from collections.abc import Callable

from chatfile.disk import InThread
from chatfile.sending.copying import CopyingSender
from chatfile.sending.sender import FileSender, SendingPace
from chatfile.sending.zerocopy import ZeroCopySender
from chatfile.transports import ILineTransport, plain_socket

__all__ = ["FileSender", "SendingPace", "file_sender"]


def file_sender(
    transport: ILineTransport,
    descriptor: int,
    *,
    offset: int,
    count: int,
    in_thread: InThread,
    progress: Callable[[int], None],
    pace: SendingPace | None = None,
) -> FileSender:
    """Return a sender of `count` bytes of `descriptor` from `offset` on, of the best kind for `transport`.

    The sender closes `descriptor` however it ends. `progress(n)` is called for every n more bytes that the transport
    was given. With a `pace`, no byte is given to it before that allows it.
    """
    can_sendfile = hasattr(os, "sendfile") and plain_socket(transport) is not None
    best = ZeroCopySender if can_sendfile else CopyingSender
    return best(transport, descriptor, offset=offset, count=count, in_thread=in_thread, progress=progress, pace=pace)
