"""Any line as any reply, and any reply as a line: a value that comes back the same, or a violation of the protocol."""

from __future__ import annotations

import contextlib
from dataclasses import astuple

from chatfile import errors, wire
from chatfile.client import parse_refusal


def check(data: bytes) -> None:
    """Raise for what the parsers must never do."""
    for kind in wire.GRAMMAR:
        with contextlib.suppress(errors.ProtocolViolation):
            reply = wire.parse_reply(data, kind)
            assert all(not isinstance(each, int) or each <= wire.MAX_NUMBER for each in astuple(reply))
            again = wire.format_reply(reply)
            assert wire.parse_reply(again, kind) == reply
            assert wire.format_reply(wire.parse_reply(again, kind)) == again
    with contextlib.suppress(errors.ProtocolViolation):
        refusal = parse_refusal(data)
        assert (refusal is None) == (not data.startswith(b"ERROR "))
    with contextlib.suppress(errors.Refusal):
        request = wire.parse_request(data)
        assert isinstance(request, wire.Message) is not wire.is_command(data)
        assert wire.parse_request(wire.format_request(request)) == request
