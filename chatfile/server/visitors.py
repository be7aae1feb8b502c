"""The rows of `status`: the row of who has left does not change any more, and is formatted once."""

from __future__ import annotations

from collections.abc import Iterator

from chatfile import wire
from chatfile.admission import Admission, ClientRecord, Seat


class Visitors:
    """The client cache as `status` shows it."""

    ROWS = 64
    """Rows in one piece."""

    def __init__(self, admission: Admission) -> None:
        """Nothing is formatted yet."""
        self._admission = admission
        self._rows: dict[str, bytes] = {}
        """Of those who have left, by their names; of some of those, too, who are forgotten by now."""

    def rows(self) -> tuple[int, Iterator[bytes]]:
        """How many rows there are now, and the rows, some at a time; those of the connected as they are by then."""
        present = self._admission.present()
        if len(self._rows) > 2 * len(present) + self.ROWS:
            self._rows = {each.name: self._rows[each.name] for each in present if each.name in self._rows}
        return len(present), self._pieces(present)

    def _pieces(self, present: list[Seat | ClientRecord]) -> Iterator[bytes]:
        for start in range(0, len(present), self.ROWS):
            yield b"".join(map(self._row, present[start : start + self.ROWS]))

    def _row(self, who: Seat | ClientRecord) -> bytes:
        row = self._rows.get(who.name)
        if row is None:
            visit = who.record() if isinstance(who, Seat) else who
            row = _format(visit)
            if visit.disconnected is not None:
                self._rows[visit.name] = row
        return row


def _format(visit: ClientRecord) -> bytes:
    row = wire.ClientRow(
        visit.name,
        visit.address,
        int(visit.connected),
        None if visit.disconnected is None else int(visit.disconnected),
        visit.files,
        visit.bytes,
    )
    return wire.format_reply(row) + b"\n"
