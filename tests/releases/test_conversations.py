"""What fuzzing has found, and more of the kind, said to the last release and to the code of today: the same answers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.cuts import CUT
from tests.fuzz.targets import CORPUS
from tests.releases.versions import OneSeat
from tests.system.test_fuzz import inputs

Servers = dict[str, OneSeat]
CHANGED: tuple[tuple[bytes, bytes, str], ...] = ()
"""What the last release says, what is said in its place, and why, as the changelog has it."""


def compare(servers: Servers, target: str, data: bytes) -> None:
    said = data.replace(CUT, b"")  # fuzzing itself shows that cuts change nothing
    ask = OneSeat.answers if target == "server" else OneSeat.answers_in_line
    old, new = (ask(servers[version], said) for version in ("old", "new"))
    for before, now, _ in CHANGED:
        old = old.replace(before, now)
    assert new == old


@pytest.mark.parametrize("target", ["server", "waiting"])
def test_the_corpus_is_answered_as_by_the_last_release(one_seat: Servers, target: str) -> None:
    for path in sorted((CORPUS / target).iterdir()):
        compare(one_seat, target, path.read_bytes())


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
@given(said=st.one_of(inputs("server"), inputs("waiting")))
def test_whatever_is_said_is_answered_as_by_the_last_release(one_seat: Servers, said: tuple[str, bytes]) -> None:
    compare(one_seat, *said)
