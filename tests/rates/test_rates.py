"""Rates as arithmetic: how they are written, that a bucket never gives too much, and that shares are fair."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatfile.rates import TokenBucket, fair_shares, parse_rate

RATES = st.floats(1, 1e10)
WANTS = st.lists(
    st.lists(st.one_of(st.floats(0.01, 1e10), st.just(inf)), min_size=1, max_size=5), min_size=1, max_size=5
)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0", 0), ("0K", 0), ("1", 1), ("500000", 500_000), ("500K", 500_000), ("1.5M", 1_500_000), ("2g", 2 * 10**9)],
)
def test_units_are_powers_of_ten(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "-1", "0.3", "1KB", "1Ki", "1 K", "K", "1e6", "nan", "inf", "2000G", "\uff11", "1,5M"]
)
def test_what_is_no_rate_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number of bytes a second, such as"):
        parse_rate(text)


# --- a bucket ---


@given(RATES, st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=30))
def test_no_more_is_spent_than_the_rate_gives_since_any_moment(rate: float, steps: list[tuple[float, bool]]) -> None:
    now, bucket = 100.0, TokenBucket(100.0, rate)
    spent: list[tuple[float, int]] = []
    for seconds, spends in steps:
        now += seconds
        bucket.refill(now)
        if spends:
            spent.append((now, int(bucket.level)))
            bucket.spend(int(bucket.level))
    burst = rate * TokenBucket.BURST + bucket.slice
    assert sum(count for _, count in spent) <= rate * (now - 100) * (1 + 1e-9) + 1e-6
    for start, _ in spent:
        since = sum(count for when, count in spent if when >= start)
        assert since <= (rate * (now - start) + burst) * (1 + 1e-9) + 1e-6


@given(RATES)
def test_a_slice_is_worth_a_call_but_never_waited_for_long(rate: float) -> None:
    bucket = TokenBucket(0, rate)
    wait = bucket.seconds_until(bucket.slice)
    assert wait <= 1
    assert wait >= 0.019 or bucket.slice <= 1
    bucket.refill(wait + 1e-3)
    assert bucket.level >= bucket.slice


def test_who_comes_late_is_given_what_was_missed() -> None:
    bucket = TokenBucket(0, 10_000)
    for late in (0.1, 0.25, 0.44):
        bucket.refill(late)
        bucket.spend(int(bucket.level))
    bucket.refill(1)
    assert bucket.level == 2256  # but not after a long time
    assert bucket.granted == 10_000


def test_a_debt_is_paid_by_waiting() -> None:
    bucket = TokenBucket(0, 1000)
    bucket.spend(500)
    assert bucket.seconds_until(0) == 0.5
    bucket.change_rate(0.25, 500)
    assert bucket.seconds_until(0) == 0.5


# --- shares ---


@given(RATES, st.one_of(RATES, st.just(inf)), WANTS)
def test_shares_use_all_that_may_be_used_and_no_more(total: float, per_group: float, wants: list[list[float]]) -> None:
    shares = fair_shares(total, per_group, wants)
    all_of_it = min(total, per_group * len(wants))
    assert sum(map(sum, shares)) == pytest.approx(all_of_it)
    assert all(sum(group) <= per_group * (1 + 1e-9) for group in shares)


@given(RATES, st.one_of(RATES, st.just(inf)), WANTS)
def test_nobody_starves(total: float, per_group: float, wants: list[list[float]]) -> None:
    fair = min(total / len(wants), per_group)
    for group, want in zip(fair_shares(total, per_group, wants), wants, strict=True):
        for share, wanted in zip(group, want, strict=True):
            assert share >= min(wanted, fair / len(group)) * (1 - 1e-9)


@given(RATES, WANTS)
def test_groups_and_their_members_that_want_all_have_the_same(total: float, wants: list[list[float]]) -> None:
    shares = fair_shares(total, inf, wants)
    greedy = [sum(share) for share, want in zip(shares, wants, strict=True) if inf in want]
    assert not greedy or max(greedy) == pytest.approx(min(greedy))
    for group, want in zip(shares, wants, strict=True):
        equal = [share for share, wanted in zip(group, want, strict=True) if wanted == inf]
        assert not equal or max(equal) == pytest.approx(min(equal))


def test_shares_are_fair_by_address() -> None:
    assert fair_shares(90, inf, [[inf], [inf, inf], [inf, inf, inf]]) == [[30], [15, 15], [10, 10, 10]]


def test_what_one_leaves_is_for_the_others() -> None:
    assert fair_shares(100, inf, [[10], [inf], [inf]]) == [[10], [45], [45]]
    assert fair_shares(100, 40, [[10], [inf], [inf]]) == [[20], [40], [40]]
    assert fair_shares(inf, 40, [[inf, 10], [inf]]) == [[30, 10], [40]]


def test_one_alone_has_it_all_whatever_it_was_seen_to_take() -> None:
    assert fair_shares(100, inf, [[1]]) == [[100]]
