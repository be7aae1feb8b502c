"""Content that tells where it belongs: records of a page, each with its number and its version."""

from __future__ import annotations

RECORD = 4096
"""A file is cut at the bounds of pages: within one, the system itself writes zeros."""


def records(first: int, count: int, version: int) -> bytes:
    """So many records from the number `first` on."""
    content = bytearray(b"." * (count * RECORD))
    for index in range(count):
        head = _head(first + index, version)
        content[index * RECORD : index * RECORD + len(head)] = head
    return bytes(content)


def _head(number: int, version: int) -> bytes:
    return b"%08d %08d\n" % (number, version)


def versions(content: bytes) -> set[int]:
    """The versions in a content of whole records, each in its place; anything else is an AssertionError."""
    assert len(content) % RECORD == 0, f"{len(content)} bytes are no whole records"
    return {_version(content[at : at + RECORD], at // RECORD) for at in range(0, len(content), RECORD)}


def _version(record: bytes, number: int) -> int:
    said = record[9:17]
    assert said.isdigit(), f"record {number} is none: {record[:20]!r}"
    assert record == _head(number, int(said)).ljust(RECORD, b"."), (
        f"record {number} is not what was written: {record[:20]!r}"
    )
    return int(said)
