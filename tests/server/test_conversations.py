"""Whole conversations in any order of events: whatever guests, files and clocks do, the promises hold."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chatfile.digests import Digests
from chatfile.sending.copying import CopyingSender
from chatfile.server import Timeouts
from tests.support.guests import Guest, House
from tests.support.leftovers import nothing_left
from tests.support.serving import Server
from tests.support.shelf import Shelf
from tests.support.transports import Threads, turn_over
from tests.support.wires import let_the_system_tell

LIMITS = Timeouts(idle=6, line=4, stall=5, flush=2)
LOCKED_OUT = LIMITS.idle + LIMITS.stall + LIMITS.flush
"""Seconds that nobody holds a seat for in silence."""
DRAIN = 3
SEATS = 3
HISTORY = 2
PIECE = 1024
"""Bytes of a file sent, and hashed, at a time: few, so that much can happen between two."""
IN_PLACE = ("rewrite", "lengthen", "truncate", "grow", "replace")
"""Changes that matter to whoever has the file open, and one that must not."""

names = st.sampled_from(["a", "b c"])
lines = st.one_of(
    st.sampled_from([b"hello", b"", b"hello\r", b"gr\xc3\xbc\xc3\x9fe", b"status please", b"m" * 4096]),
    st.sampled_from([b"\x1b", b"\xe9", b"a\rb", b"get", b"resume x a", b"l" * 4097, b"l" * 9000]),
    st.sampled_from([b"list", b"Status", b"help", b"exit", b"get ../a", b"hash .fresh"]),
    st.sampled_from([b"get a", b"get b c", b"hash a", b"hash b c", b"resume 700 a", b"resume 3000 b c"]),
)
guests = st.integers(0, 2)
mostly = st.sampled_from([True, True, True, False])
fetches = st.sampled_from([b"get", b"get", b"resume 700", b"hash"])
seconds = st.sampled_from([0.1, 0.6, 0.6, 1.5, 1.5, 3, 7])
sizes = st.sampled_from([0, 700, 3000, 6000])


class ConversationMachine(RuleBasedStateMachine):
    """Guests come and go, files change, threads take their time and clocks run."""

    def __init__(self) -> None:
        super().__init__()
        self.around = ExitStack()
        self.around.enter_context(nothing_left())
        self.patch = pytest.MonkeyPatch()
        let_the_system_tell(self.patch)
        self.patch.setattr(CopyingSender, "PIECE", PIECE)
        self.patch.setattr(Digests, "TURN", PIECE)
        self.folder = tempfile.mkdtemp()
        self.threads = Threads()
        server = Server(Path(self.folder), in_thread=self.threads, limit=SEATS, history=HISTORY, timeouts=LIMITS)
        self.house = House(server, Shelf(Path(self.folder)), LIMITS)
        self.guests: list[Guest] = []
        self.welcomed: list[str] = []
        self.served_at = 0.0
        self.port = 40_000

    def teardown(self) -> None:
        try:
            self.everybody_falls_silent()
        finally:
            self.patch.undo()
            shutil.rmtree(self.folder)

    def everybody_falls_silent(self) -> None:
        silence_ends = self.house.now() + 2 * LOCKED_OUT
        self.the_threads_get_everything_done()
        while self.house.server.clock.getDelayedCalls() and self.house.now() < silence_ends:
            self.time_passes(0.1)
            self.the_threads_get_everything_done()
        assert self.house.server.connected() == []
        assert self.house.server.clock.getDelayedCalls() == []
        assert self.house.server.factory.drain(0).called
        self.around.close()

    def settle(self) -> None:
        """Until nothing more happens at this time."""
        turn_over(self.house.server.clock)
        while sum(guest.turn() for guest in self.guests if not guest.is_gone):
            turn_over(self.house.server.clock)

    def present(self, at: int) -> Guest:
        """One of those who have a seat, or else someone who comes."""
        here = [guest for guest in self.guests if guest.is_served]
        if not here and self.house.drain_ends is None:
            self.someone_comes(reads=True)
        return here[at % len(here)] if here else self.guests[-1]

    def say(self, guest: Guest, data: bytes) -> None:
        if data and not guest.wire.peer_ended:
            guest.says(data)
            self.settle()

    # --- the files ---

    @initialize(size=sizes, other=sizes)
    def files_are_there(self, size: int, other: int) -> None:
        self.house.shelf.change("a", "replace", size)
        self.house.shelf.change("b c", "replace", other)

    @rule(name=names, how=st.sampled_from(Shelf.CHANGES), size=sizes)
    def a_file_changes(self, name: str, how: str, size: int) -> None:
        self.house.shelf.change(name, how, size)

    # --- the guests ---

    @rule(reads=mostly)
    def someone_comes(self, reads: bool) -> None:
        self.port += 1
        seated = self.house.server.connected()
        guest = Guest(self.house, self.port, reads=reads)
        self.guests.append(guest)
        came = [name for name in self.house.server.connected() if name not in seated]
        if came:
            self.welcomed += came
            assert came == [f"Client{len(self.welcomed):02d}"]
        else:
            assert len(seated) == SEATS or self.house.drain_ends is not None
            assert guest.wire.closed_at is not None
        self.settle()

    @rule(
        who=guests,
        said=st.lists(lines, min_size=1, max_size=4),
        cut=st.integers(0, 9),
        ended=mostly,
        served=st.booleans(),
    )
    def someone_says(self, who: int, said: list[bytes], cut: int, ended: bool, served: bool) -> None:
        guest = self.present(who)
        data = b"\n".join(said) + b"\n" * ended
        self.say(guest, data[:cut])
        self.say(guest, data[cut:])
        if served:
            self.the_threads_get_everything_done()

    @rule(who=guests, count=st.integers(1, 4))
    def someone_ends_a_line_and_begins_the_next_one(self, who: int, count: int) -> None:
        guest = self.present(who)
        for _ in range(count):
            self.say(guest, b"\nw")
            self.time_passes(1.5)

    @rule(who=guests)
    def someone_stops_reading_or_reads_on(self, who: int) -> None:
        guest = self.present(who)
        guest.reads = not guest.reads
        self.settle()

    @rule(who=guests, asking=st.booleans(), politely=st.booleans())
    def someone_goes(self, who: int, asking: bool, politely: bool) -> None:
        guest = self.present(who)
        self.say(guest, b"\nget a\n" * asking)
        if politely:
            guest.ends()
        elif not guest.is_gone:
            guest.vanishes()
        self.settle()

    @rule(who=guests, ask=fetches, turns=st.integers(0, 7), how=st.sampled_from(IN_PLACE), size=sizes)
    def a_file_changes_while_it_is_fetched(self, who: int, ask: bytes, turns: int, how: str, size: int) -> None:
        self.a_file_changes("a", "replace", size)
        guest = self.present(who)
        guest.reads = True
        self.the_threads_get_everything_done()
        self.say(guest, b"\n%s a\n" % ask)
        for _ in range(turns):
            self.a_thread_gets_something_done(0)
        self.a_file_changes("a", how, size)

    # --- the server's own ---

    @rule(which=st.integers(0, 9))
    def a_thread_gets_something_done(self, which: int) -> None:
        if self.threads.waiting:
            self.threads.run_one(which % len(self.threads.waiting))
            self.settle()

    @rule()
    def the_threads_get_everything_done(self) -> None:
        while self.threads.run():
            self.settle()

    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.house.server.clock.advance(0.1)
            self.settle()
            self.check_that_nobody_is_locked_out()

    def check_that_nobody_is_locked_out(self) -> None:
        if self.threads.waiting:
            self.served_at = self.house.now()  # until now it may have been the server that was waited for
        for guest in self.guests:
            since = max(guest.acted_at, self.served_at)
            assert guest.is_gone or self.house.now() - since <= LOCKED_OUT
            assert guest.is_gone or self.house.now() - guest.drained_at() <= LIMITS.flush + 1

    @precondition(lambda self: self.house.drain_ends is None and len(self.guests) > SEATS)
    @rule(who=guests, ask=fetches, seconds=seconds)
    def the_server_is_drained_while_someone_fetches(self, who: int, ask: bytes, seconds: float) -> None:
        self.say(self.present(who), b"%s a\n" % ask)
        self.house.drain_ends = self.house.now() + DRAIN
        self.house.server.factory.drain(DRAIN)
        self.settle()
        self.time_passes(seconds)

    # --- what holds at all times ---

    @invariant()
    def seats_and_names_are_as_promised(self) -> None:
        here = self.house.server.connected()
        visits = [visit.name for visit in self.house.server.admission.records()]
        assert len(here) <= SEATS
        assert visits == sorted(visits)
        assert set(here) <= set(visits) <= set(self.welcomed)
        gone = len(self.welcomed) - len(here)
        assert len(visits) == len(here) + min(gone, HISTORY)

    @invariant()
    def the_cache_counts_what_arrived(self) -> None:
        rows = {visit.name: (visit.files, visit.bytes) for visit in self.house.server.admission.records()}
        for guest in self.guests:
            if guest.has_heard_everything() and guest.judge.name in rows:
                assert rows[guest.judge.name] == (guest.judge.files, guest.judge.bytes)


@pytest.mark.parametrize("count", [30, pytest.param(120, marks=pytest.mark.slow)])
def test_whatever_happens_the_promises_hold(logged_errors: list[str], count: int) -> None:
    run_state_machine_as_test(ConversationMachine, settings=settings(max_examples=count, stateful_step_count=50))
    logged_errors.clear()  # of files that got shorter; a guest that is told of a mistake of the server's own objects
