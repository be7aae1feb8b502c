"""The client cache of all nodes, read at the engine page by page."""

from __future__ import annotations

import math
import re

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatfile.admission import ClientRecord
from chatfile.cluster import scripts
from chatfile.cluster.engine import Engine, EngineAway

ROWS = 1000
"""Rows of a page; the engine needs some 2 ms for so many, in which it answers nobody else."""
_NUMBER = "([0-9]{1,15})"
_ENTRY = re.compile(rf"{_NUMBER} \S+ \S+ ([!-~]+) {_NUMBER} (?:-|{_NUMBER}) {_NUMBER} {_NUMBER}")

Records = dict[int, ClientRecord]
"""The entries of the cache by the numbers in their names, in that order."""


class Pages:
    """Reads the whole cache once at a time: clients that ask while that is under way share the next reading.

    So an answer is never older than its question, and no number of clients can keep the engine busy with it.
    """

    log = Logger()

    def __init__(self, engine: Engine) -> None:
        """Read at `engine`."""
        self._engine = engine
        self._is_reading = False
        self._is_told = False  # that the cache can't be understood
        self._askers: list[Deferred[Records]] = []

    def ask(self) -> Deferred[Records]:
        """Return all entries in a Deferred. Fails with `EngineAway`."""
        asker: Deferred[Records] = Deferred()
        self._askers.append(asker)
        if not self._is_reading:
            self._begin()
        return asker

    def _begin(self) -> None:
        self._is_reading = True
        askers, self._askers = self._askers, []
        Deferred.fromCoroutine(self._read()).addBoth(self._answer, askers)

    def _answer(self, rows: Records | Failure, askers: list[Deferred[Records]]) -> None:
        self._is_reading = False
        if self._askers:
            self._begin()
        for asker in askers:
            asker.callback(rows)

    def _tell_of_foreign_row(self) -> None:
        """Log it once, for every client can ask; seats are counted all the same."""
        if not self._is_told:
            self._is_told = True
            self.log.warn("The engine has rows that no node has written: nobody is shown status", event="engine")

    async def _read(self) -> Records:
        """Read all entries, the latest clients first.

        Between two pages, some who are on the second may leave, but none come who are on it: so never more are shown as
        connected than were at one time.
        """
        records: Records = {}
        before = math.inf
        while True:
            lines = (await self._engine.read(scripts.PAGE, before, ROWS)).splitlines()
            try:
                records.update(_page(lines, before))
            except ValueError as error:
                self._tell_of_foreign_row()
                raise EngineAway from error
            if len(lines) < ROWS:
                self._is_told = False
                return dict(sorted(records.items()))
            before = min(records)


def name_of(number: int) -> str:
    """Return the name of the client that was the `number`th."""
    return f"Client{number:02d}"


def _page(lines: list[str], before: float) -> Records:
    """Return the entries in lines of `scripts.PAGE`. Raises ValueError."""
    page = dict(map(_entry, lines))
    if page and max(page) >= before:
        raise ValueError("it is a page that was read already")
    return page


def _entry(text: str) -> tuple[int, ClientRecord]:
    """Return the number and the entry in a line of `scripts.PAGE`. Raises ValueError."""
    if (match := _ENTRY.fullmatch(text)) is None:
        raise ValueError("it is no entry")
    number, address, connected, disconnected, files, size = match.groups()
    left = None if disconnected is None else float(disconnected)
    return int(number), ClientRecord(name_of(int(number)), address, float(connected), left, int(files), int(size))
