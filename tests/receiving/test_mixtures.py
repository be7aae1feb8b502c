"""Any mixture of reading, splicing, hashing, failing and giving up leaves a beginning of the file, and all in step."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.failure import Failure

from chatfile.receiving.buffered import BufferedReceiver
from chatfile.receiving.incoming_file import TailHasher
from chatfile.receiving.splicing import Splice, SplicingReceiver
from tests.support.receiving import BEHIND, CONTENT, Receiving, assert_complete, open_descriptors
from tests.support.transports import Threads

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice here")
SIZE = 20_000
SMALLER = [
    (Splice, "PIECE", 500),
    (Splice, "PATIENCE", 0),
    (SplicingReceiver, "SLICE", 2000),
    (SplicingReceiver, "LEAD", 1500),
    (TailHasher, "SLICE", 900),
    (BufferedReceiver, "BATCH", 1000),
]
"""A small file is many pieces, and its digest is behind most of the time."""

AMOUNT = st.integers(1, 3000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), AMOUNT),
        st.tuples(st.just("read"), AMOUNT),
        st.tuples(st.just("thread"), st.integers(0, 5)),
    ),
    max_size=60,
)


class Mixture(Receiving):
    """A receiver whose connection, peer and threads have their turns in any order."""

    def __init__(self, path: Path, *, hashing: bool) -> None:
        self.threads = Threads()
        super().__init__(path, self.threads, hashing=hashing, size=SIZE)

    def take(self, step: str, amount: int) -> None:
        if step == "send":
            self.send(amount)
        elif step == "read":
            self.read_if_it_may(amount)
        elif self.threads.waiting:
            self.threads.run_one(amount % len(self.threads.waiting))

    def read_if_it_may(self, most: int) -> None:
        if not self.owner.is_detached and not self.owner.is_paused:
            self.read(most)

    def come_to_an_end(self) -> None:
        while self.behind != BEHIND or self.threads.waiting:
            self.send(3000)
            self.threads.run()
            self.read_if_it_may(3000)


@pytest.fixture(scope="module", autouse=True)
def _smaller() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for setting in SMALLER:
            patched.setattr(*setting)
        yield


@contextmanager
def mixture(*, hashing: bool) -> Iterator[Mixture]:
    with tempfile.TemporaryDirectory() as folder:
        before = open_descriptors()
        one = Mixture(Path(folder) / "a", hashing=hashing)
        try:
            yield one
        finally:
            one.close()
        assert open_descriptors() == before


def assert_in_step(one: Mixture) -> None:
    """Every byte is counted, the connection reads again, and what was written has no gap."""
    assert (one.progressed, one.receiver.remaining, one.behind) == (SIZE, 0, BEHIND)
    assert (one.owner.is_detached, one.owner.is_paused, len(one.outcome)) == (False, False, 1)
    assert CONTENT.startswith(one.path.read_bytes())


@given(STEPS)
def test_in_any_order_the_file_is_whole_and_hashed(steps: list[tuple[str, int]]) -> None:
    with mixture(hashing=True) as one:
        for step, amount in steps:
            one.take(step, amount)
        one.come_to_an_end()
        assert_in_step(one)
        assert_complete(one, SIZE)


@given(STEPS, STEPS, st.sampled_from(["drop", "end"]), st.booleans())
def test_given_up_at_any_point_the_connection_stays_in_step(
    steps: list[tuple[str, int]], then: list[tuple[str, int]], way: str, hashing: bool
) -> None:
    with mixture(hashing=hashing) as one:
        for step, amount in steps:
            one.take(step, amount)
        had_all = not one.receiver.remaining
        was_done = bool(one.outcome)
        getattr(one.receiver, way)(Failure(KeyError()))
        for step, amount in then:
            one.take(step, amount)
        one.come_to_an_end()
        assert_in_step(one)
        assert (one.outcome == [None]) == (was_done or (way == "end" and had_all))


@contextmanager
def failing_call(name: str, which: int, target: os.stat_result) -> Iterator[None]:
    """Let the call of `os.name` with that number fail, of those that write `target` or read it back."""
    really, calls = getattr(os, name), 0

    def fail(*arguments: Any) -> Any:
        nonlocal calls
        descriptor = arguments[1] if name == "splice" else arguments[0]
        if os.path.samestat(os.fstat(descriptor), target):
            calls += 1
            if calls == which:
                raise OSError(errno.ENOSPC, "made to fail")
        return really(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, name, fail)
        yield


@given(STEPS, st.sampled_from(["write", "splice", "preadv"]), st.integers(1, 8))
def test_a_failure_at_any_point_is_told_and_nothing_is_behind_it(
    steps: list[tuple[str, int]], call: str, which: int
) -> None:
    with mixture(hashing=True) as one, failing_call(call, which, os.stat(one.path)):
        for step, amount in steps:
            one.take(step, amount)
        one.come_to_an_end()
        assert_in_step(one)
        assert one.outcome == [None] or one.failed_with(errno.ENOSPC)
        if one.outcome == [None]:
            assert_complete(one, SIZE)
