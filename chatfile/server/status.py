"""The rows of `status`: the row of a client that has left does not change any more, and is formatted once."""

from __future__ import annotations

from collections.abc import Iterator

from chatfile import wire
from chatfile.admission import Admission, ClientRecord, Seat


class StatusRows:
    """Formats the client cache as `status` shows it."""

    ROWS = 64
    """Rows in each piece."""

    def __init__(self, admission: Admission) -> None:
        """Show the clients of `admission`."""
        self._admission = admission
        self._rows: dict[str, bytes] = {}
        """The rows of clients that have left, by their names; among them some that the cache has forgotten since."""

    async def rows(self) -> tuple[int, Iterator[bytes]]:
        """Return how many rows there are now, and the rows in pieces; those of connected clients are up to date.

        Raises `Unavailable`.
        """
        present = await self._admission.present()
        if len(self._rows) > 2 * len(present) + self.ROWS:
            self._rows = {each.name: self._rows[each.name] for each in present if each.name in self._rows}
        return len(present), self._pieces(present)

    def _pieces(self, present: list[Seat | ClientRecord]) -> Iterator[bytes]:
        for start in range(0, len(present), self.ROWS):
            yield b"".join(map(self._row, present[start : start + self.ROWS]))

    def _row(self, client: Seat | ClientRecord) -> bytes:
        row = self._rows.get(client.name)
        if row is None:
            record = client.record() if isinstance(client, Seat) else client
            row = _format(record)
            if record.disconnected is not None:
                self._rows[record.name] = row
        return row


def _format(record: ClientRecord) -> bytes:
    row = wire.ClientRow(
        record.name,
        record.address,
        int(record.connected),
        None if record.disconnected is None else int(record.disconnected),
        record.files,
        record.bytes,
    )
    return wire.format_reply(row) + b"\n"
