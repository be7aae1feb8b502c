"""Who may come in and who came: the limits, the names, and a bounded memory."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from chatfile import errors
from chatfile.admission import ClientRecord, MemoryAdmission, Place, Seat
from tests.support.coroutines import run_at_once

NOON = 1_795_348_800.0
HERE = "127.0.0.1"


class Wall:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = NOON

    def __call__(self) -> float:
        return self.seconds


def _come(admission: MemoryAdmission, host: str = HERE) -> Seat:
    return run_at_once(admission.admit(f"{host}:50914", host))


def _names(admission: MemoryAdmission) -> list[str]:
    return [visit.name for visit in admission.records()]


def test_as_many_as_the_limit_are_admitted_and_no_more() -> None:
    admission = MemoryAdmission(Wall(), limit=3)
    seats = [_come(admission) for _ in range(3)]
    assert admission.taken == 3
    for _ in range(2):
        with pytest.raises(errors.Full, match="3 of 3"):
            _come(admission)
    seats[1].release()
    assert admission.taken == 2
    _come(admission)
    with pytest.raises(errors.Full):
        _come(admission)


def test_the_limit_is_three_unless_told_otherwise() -> None:
    assert MemoryAdmission(Wall()).limit == 3


def test_of_those_that_left_a_thousand_are_remembered_unless_told_otherwise() -> None:
    admission = MemoryAdmission(Wall())
    for _ in range(1001):
        _come(admission).release()
    assert [len(_names(admission)), _names(admission)[0]] == [1000, "Client02"]


def test_what_the_cache_tells_cannot_be_changed_by_who_reads_it() -> None:
    admission = MemoryAdmission(Wall())
    _come(admission).release()
    with pytest.raises(FrozenInstanceError):
        admission.records()[0].files = 1  # type: ignore[misc]


def test_names_count_admissions_with_two_digits_or_more_and_are_never_used_twice() -> None:
    admission = MemoryAdmission(Wall(), limit=1)
    names = []
    for _ in range(101):
        seat = _come(admission)
        names.append(seat.name)
        seat.release()
    assert names[:2] == ["Client01", "Client02"]
    assert names[8:10] == ["Client09", "Client10"]
    assert names[98:] == ["Client99", "Client100", "Client101"]


def test_who_is_refused_leaves_no_trace_and_burns_no_name() -> None:
    admission = MemoryAdmission(Wall(), limit=2, limit_per_address=1)
    seat = _come(admission)
    before = admission.records()
    with pytest.raises(errors.Full, match="for your address"):
        _come(admission)
    assert admission.records() == before
    assert _come(admission, "::1").name == "Client02"
    with pytest.raises(errors.Full):
        _come(admission, "127.0.0.2")
    seat.release()
    assert _come(admission).name == "Client03"


def test_one_address_gets_no_more_seats_than_its_limit_and_gets_them_again() -> None:
    admission = MemoryAdmission(Wall(), limit=5, limit_per_address=2)
    first, _ = _come(admission), _come(admission)
    with pytest.raises(errors.Full, match="for your address: 2 of 2"):
        _come(admission)
    _come(admission, "127.0.0.2")
    first.release()
    _come(admission)
    with pytest.raises(errors.Full, match="for your address"):
        _come(admission)


def test_a_full_house_is_full_for_an_address_at_its_limit_too() -> None:
    admission = MemoryAdmission(Wall(), limit=1, limit_per_address=1)
    _come(admission)
    with pytest.raises(errors.Full) as refusal:
        _come(admission)
    assert "for your address" not in str(refusal.value)


def test_without_a_limit_per_address_one_may_have_every_seat() -> None:
    admission = MemoryAdmission(Wall(), limit=4, limit_per_address=0)
    assert [_come(admission).name for _ in range(4)][-1] == "Client04"


def test_a_seat_is_released_exactly_once() -> None:
    wall = Wall()
    admission = MemoryAdmission(wall, limit=2, limit_per_address=2, history=1)
    seat, other = _come(admission), _come(admission)
    wall.seconds += 10
    seat.release()
    left = seat.record()
    wall.seconds += 10
    seat.release()
    assert seat.record() == left == admission.records()[0]
    assert admission.taken == 1
    _come(admission)
    with pytest.raises(errors.Full):
        _come(admission)
    seat.release()
    assert other.name in _names(admission)


def test_a_visit_tells_when_where_and_how_much() -> None:
    wall = Wall()
    admission = MemoryAdmission(wall)
    seat = run_at_once(admission.admit("[::1]:50914", "::1"))
    assert admission.records() == [ClientRecord("Client01", "[::1]:50914", NOON, None, 0, 0)]
    seat.count_bytes(70)
    seat.count_bytes(5)
    seat.count_file()
    wall.seconds += 60
    assert admission.records() == [ClientRecord("Client01", "[::1]:50914", NOON, None, 1, 75)]
    seat.release()
    assert admission.records() == [ClientRecord("Client01", "[::1]:50914", NOON, NOON + 60, 1, 75)]


def test_nobody_leaves_before_coming_though_the_wall_clock_steps_back() -> None:
    wall = Wall()
    admission = MemoryAdmission(wall)
    seat = _come(admission)
    wall.seconds -= 3600
    seat.release()
    assert seat.record().disconnected == NOON


def test_the_history_is_bounded_and_the_earliest_leaver_goes_first() -> None:
    admission = MemoryAdmission(Wall(), limit=3, history=2)
    first, second, third = _come(admission), _come(admission), _come(admission)
    for seat in (third, first, second):
        seat.release()
    assert _names(admission) == ["Client01", "Client02"]


def test_whoever_is_connected_is_never_forgotten() -> None:
    admission = MemoryAdmission(Wall(), limit=2, history=3)
    stays = _come(admission)
    for _ in range(50):
        _come(admission).release()
    assert _names(admission) == ["Client01", "Client49", "Client50", "Client51"]
    stays.release()
    assert _names(admission) == ["Client01", "Client50", "Client51"]


def test_without_a_history_only_the_connected_are_remembered() -> None:
    admission = MemoryAdmission(Wall(), history=0)
    _come(admission).release()
    _come(admission)
    assert _names(admission) == ["Client02"]


def test_the_cache_is_in_the_order_of_admission() -> None:
    admission = MemoryAdmission(Wall(), limit=120, history=120)
    seats = [_come(admission) for _ in range(120)]
    for seat in reversed(seats[::3]):
        seat.release()
    assert _names(admission) == [seat.name for seat in seats]


# --- the waiting line ---


def _wait(admission: MemoryAdmission, host: str) -> Place:
    return admission.queue(f"{host}:50914", host)


def test_without_places_nobody_waits() -> None:
    admission = MemoryAdmission(Wall(), limit=1)
    _come(admission)
    with pytest.raises(errors.Full, match="0 of 0 clients wait"):
        _wait(admission, HERE)


def test_a_seat_is_for_the_first_in_the_line_and_for_no_newcomer() -> None:
    admission = MemoryAdmission(Wall(), limit=1, places=2)
    seat = _come(admission)
    first, second = _wait(admission, "a"), _wait(admission, "b")
    with pytest.raises(errors.Full, match="2 of 2 clients wait"):
        _wait(admission, "c")
    assert [first.position, second.position] == [1, 2]
    assert admission.next_in_line() is None
    seat.release()
    with pytest.raises(errors.Full):
        _come(admission, "c")
    with pytest.raises(errors.Full):
        second.claim()
    assert admission.next_in_line() is first
    seat = first.claim()
    assert (seat.name, seat.address, seat.host) == ("Client02", "a:50914", "a")
    assert [first.position, second.position] == [0, 1]
    _wait(admission, "c")


def test_a_place_is_given_back_exactly_once() -> None:
    admission = MemoryAdmission(Wall(), limit=1, places=2)
    seat = _come(admission)
    first, second = _wait(admission, "a"), _wait(admission, "b")
    first.release()
    again = _wait(admission, "a")
    first.release()
    assert [first.position, second.position, again.position] == [0, 1, 2]
    seat.release()
    claimed = second.claim()
    second.release()
    with pytest.raises(errors.Full):
        second.claim()
    assert (admission.taken, admission.line()) == (1, [again])
    claimed.release()
    with pytest.raises(errors.Full):
        first.claim()
    again.claim()
    assert _names(admission) == ["Client01", "Client02", "Client03"]


def test_one_address_has_one_place_or_as_many_as_it_may_have_seats() -> None:
    admission = MemoryAdmission(Wall(), limit=1, places=9)
    _come(admission)
    _wait(admission, HERE)
    with pytest.raises(errors.Full, match="for your address: 1 of 1"):
        _wait(admission, HERE)
    several = MemoryAdmission(Wall(), limit=1, places=9, limit_per_address=2)
    _come(several)
    places = [_wait(several, HERE) for _ in range(2)]
    with pytest.raises(errors.Full, match="for your address: 2 of 2"):
        _wait(several, HERE)
    places[0].release()
    _wait(several, HERE)


def test_whose_address_has_all_its_seats_is_passed_over_until_one_is_free() -> None:
    admission = MemoryAdmission(Wall(), limit=2, places=9, limit_per_address=1)
    mine, theirs = _come(admission, "a"), _come(admission, "b")
    sibling, other = _wait(admission, "a"), _wait(admission, "c")
    theirs.release()
    assert admission.next_in_line() is other
    other.claim().release()
    newcomer = _come(admission, "d")  # it takes nothing from the one that can't have it
    assert admission.next_in_line() is None
    newcomer.release()
    mine.release()
    assert admission.next_in_line() is sibling


def test_nothing_is_kept_of_the_addresses_of_those_that_waited() -> None:
    admission = MemoryAdmission(Wall(), limit=1, places=1, history=0)
    for number in range(10):
        seat = _come(admission, "a")
        place = _wait(admission, str(number))
        seat.release()
        if number % 2:
            place.release()
        else:
            place.claim().release()
    assert not admission._waiting_per_address
    assert not admission._per_address


HOSTS = st.sampled_from(["127.0.0.1", "127.0.0.2", "unix"])


class AdmissionMachine(RuleBasedStateMachine):
    """Clients come, wait, are served and go in any order; two lists say what must be known of them."""

    seats = Bundle("seats")
    places = Bundle("places")

    @initialize(
        limit=st.integers(1, 4), per_address=st.integers(0, 2), most=st.integers(0, 3), history=st.integers(0, 3)
    )
    def open_the_doors(self, limit: int, per_address: int, most: int, history: int) -> None:
        self.wall = Wall()
        self.admission = MemoryAdmission(
            self.wall, limit=limit, limit_per_address=per_address, places=most, history=history
        )
        self.limit, self.per_address, self.most, self.history = limit, per_address, most, history
        self.line: list[tuple[Place, str]] = []
        self.hosts: dict[str, str] = {}
        self.rows: list[ClientRecord] = []
        self.leavers: list[str] = []

    @rule(seconds=st.integers(-1000, 1000))
    def the_wall_clock_moves(self, seconds: int) -> None:
        self.wall.seconds += seconds

    def _has_seat_for(self, host: str) -> bool:
        present = [self.hosts[row.name] for row in self.rows if row.disconnected is None]
        crowded = bool(self.per_address) and present.count(host) >= self.per_address
        return len(present) < self.limit and not crowded

    def _next(self) -> Place | None:
        return next((place for place, host in self.line if self._has_seat_for(host)), None)

    @rule(target=seats, host=HOSTS)
    def someone_comes(self, host: str) -> object:
        if not self._has_seat_for(host) or self._next() is not None:
            with pytest.raises(errors.Full):
                _come(self.admission, host)
            return multiple()
        return self._seated(_come(self.admission, host), host)

    @rule(target=places, host=HOSTS)
    def someone_waits(self, host: str) -> object:
        from_host = [each for _, each in self.line].count(host)
        if len(self.line) >= self.most or from_host >= (self.per_address or 1):
            with pytest.raises(errors.Full):
                self.admission.check_place(host)
            with pytest.raises(errors.Full):
                _wait(self.admission, host)
            return multiple()
        self.admission.check_place(host)
        place = _wait(self.admission, host)
        self.line.append((place, host))
        return place

    @rule(target=seats, place=places)
    def someone_claims(self, place: Place) -> object:
        if place is not self._next():
            with pytest.raises(errors.Full):
                place.claim()
            return multiple()
        host = dict(self.line)[place]
        self.line.remove((place, host))
        return self._seated(place.claim(), host)

    @rule(place=places)
    def someone_gives_up(self, place: Place) -> None:
        place.release()
        self.line = [(each, host) for each, host in self.line if each is not place]

    def _seated(self, seat: Seat, host: str) -> Seat:
        assert seat.host == host
        assert seat.name == f"Client{len(self.hosts) + 1:02d}"
        self.hosts[seat.name] = host
        self.rows.append(ClientRecord(seat.name, seat.address, self.wall.seconds, None, 0, 0))
        return seat

    @rule(seat=seats, count=st.integers(1, 1000), complete=st.booleans())
    def bytes_are_sent(self, seat: Seat, count: int, complete: bool) -> None:
        at = self._connected_at(seat)
        if at is None:
            return
        seat.count_bytes(count)
        if complete:
            seat.count_file()
        row = self.rows[at]
        self.rows[at] = replace(row, files=row.files + complete, bytes=row.bytes + count)

    @rule(seat=seats)
    def someone_goes(self, seat: Seat) -> None:
        seat.release()
        at = self._connected_at(seat)
        if at is None:
            return
        row = self.rows[at]
        self.rows[at] = replace(row, disconnected=max(self.wall.seconds, row.connected))
        self.leavers.append(seat.name)
        forgotten = self.leavers[: -self.history] if self.history else self.leavers
        self.rows = [row for row in self.rows if row.name not in forgotten]

    def _connected_at(self, seat: Seat) -> int | None:
        for at, row in enumerate(self.rows):
            if row.name == seat.name and row.disconnected is None:
                return at
        return None

    @invariant()
    def the_cache_is_what_happened(self) -> None:
        assert self.admission.records() == self.rows
        assert self.admission.taken == sum(row.disconnected is None for row in self.rows)

    @invariant()
    def the_line_is_in_the_order_of_coming(self) -> None:
        assert self.admission.line() == [place for place, _ in self.line]
        assert [place.position for place, _ in self.line] == list(range(1, len(self.line) + 1))
        assert self.admission.next_in_line() is self._next()


AdmissionMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestAdmissionModel = AdmissionMachine.TestCase
