"""The page for people: plain HTML without a script, in which all that comes from a stranger is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

from twisted.web.template import Tag, flattenString, tags

from chatfile import wire
from chatfile.admission import ClientRecord
from chatfile.metrics.sources import Fact
from chatfile.server import REFUSALS_COUNTED, Activity

CLIENTS_SHOWN = 50
"""A page of more would keep the reactor for longer than some milliseconds."""
STYLE = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
SECURITY_POLICY = (
    b"default-src 'none'; style-src 'sha256-%b'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    % b64encode(sha256(STYLE.encode()).digest())
)
"""Allows the page its one style and nothing else (https://www.w3.org/TR/CSP3/)."""
CONTENT_TYPE = b"text/html; charset=utf-8"
_SPAN = 600
_HEIGHT = 100
"""Of the plot: a unit is a second from left to right, and a hundredth of the highest rate from bottom to top."""
Attributes = dict[str | bytes, Any]
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class PageContent:
    """What the page shows."""

    now: float
    """Seconds since 1970."""
    is_draining: bool
    is_live: bool
    """Whether the page loads itself again every few seconds."""
    seats: int
    activity: Activity
    connected: int
    """Clients of this server; in a cluster, those of other nodes are not among them."""
    clients: Sequence[ClientRecord]
    """The latest `CLIENTS_SHOWN` of those, the last one last."""
    rates: Sequence[tuple[float, float]]
    """See `RecentRates.rates`."""
    facts: Iterable[Fact]
    is_node: bool = False
    """Whether the seats are those of a cluster, while all else is of this node of it."""


async def page(content: PageContent) -> bytes:
    """Return the page, in UTF-8."""
    body: bytes = await flattenString(None, tags.html(lang="en")(_head(), _body(content)))
    return b"<!DOCTYPE html>\n" + body


def _head() -> Tag:
    return tags.head(
        tags.meta(charset="utf-8"),
        tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
        tags.title("chatfile"),
        tags.style(STYLE),
    )


def _body(content: PageContent) -> Tag:
    activity = content.activity
    refusals = {REFUSALS_COUNTED[code]: count for code, count in activity.refused.items()}
    departures = {reason.value: count for reason, count in activity.left.items()}
    return tags.body(
        _header(content),
        Tag("main")(
            _section("now", "Now", _numbers(content)),
            _section("rate", "Bytes of files sent a second", _plot(content.rates)),
            _section("clients", "Who is at this node" if content.is_node else "Who is here", *_clients(content)),
            tags.div(class_="columns")(
                _section("refused", "Refused, by reason", _counts(refusals)),
                _section("left", "Left, by reason", _counts(departures)),
            ),
        ),
    )


def _header(content: PageContent) -> Tag:
    state = tags.strong(class_="draining")("going down") if content.is_draining else "serving"
    again = tags.a(href="/")("stop reloading") if content.is_live else tags.a(href="/?live=on")("reload by itself")
    return tags.header(
        tags.h1("chatfile"),
        tags.p(class_="quiet")(state, " at ", _time(content.now), " \N{MIDDLE DOT} ", again),
    )


def _section(name: str, title: str, *content: Tag) -> Tag:
    return tags.section(**{"aria-labelledby": name})(tags.h2(id=name)(title), *content)


def _numbers(content: PageContent) -> Tag:
    activity = content.activity
    where, of = ("Seats taken here", "all nodes' ") if content.is_node else ("Seats taken", "")
    seats = (where, f"{activity.seated:,} of {of}{content.seats:,}")
    facts = (seats, ("Sent", format_bytes(activity.sent_bytes)), *content.facts)
    return tags.dl(class_="numbers")(tags.div(tags.dt(name), tags.dd(value)) for name, value in facts)


def _plot(rates: Sequence[tuple[float, float]]) -> Tag:
    """Return the curve of the rates; what it shows is also told in words."""
    if not rates:
        return tags.p(class_="quiet")("Nothing was measured yet.")
    values = [rate for _, rate in rates]
    most, average = max(values), sum(values) / len(values)
    words = f"{format_bytes(values[-1])}/s now, {format_bytes(average)}/s on average, {format_bytes(most)}/s at most"
    points = [f"{_SPAN - ago:.1f},{_HEIGHT - _HEIGHT * rate / (most or 1):.1f}" for ago, rate in rates]
    ground = [f"{_SPAN - ago:.1f},{_HEIGHT}" for ago in (rates[-1][0], rates[0][0])]
    shape: Attributes = {"viewBox": f"0 0 {_SPAN} {_HEIGHT}", "preserveAspectRatio": "none", "role": "img"}
    return tags.figure(
        tags.div(class_="axis", **{"aria-hidden": "true"})(f"{format_bytes(most)}/s"),
        Tag("svg", attributes={**shape, "aria-label": f"The last ten minutes: {words}."})(
            Tag("polygon", attributes={"points": " ".join(points + ground)}),
            Tag("polyline", attributes={"points": " ".join(points)}),
        ),
        tags.div(class_="axis", **{"aria-hidden": "true"})(tags.span("10 minutes ago"), tags.span("now")),
        tags.figcaption(words, "."),
    )


def _clients(content: PageContent) -> Iterable[Tag]:
    if not content.clients:
        yield tags.p(class_="quiet")("Nobody.")
        return
    names = (("Name", ""), ("Address", ""), ("Since", ""), ("Files", "number"), ("Bytes", "number"))
    yield tags.table(class_="people")(
        tags.thead(tags.tr(tags.th(scope="col", class_=kind)(name) for name, kind in names)),
        tags.tbody(_client(each) for each in reversed(content.clients)),
    )
    if others := content.connected - len(content.clients):
        yield tags.p(class_="quiet")(f"And {others:,} who came before.")


def _client(client: ClientRecord) -> Tag:
    return tags.tr(
        tags.th(scope="row")(wire.printable(client.name)),
        tags.td(wire.printable(client.address)),
        tags.td(_time(client.connected)),
        tags.td(class_="number")(f"{client.files:,}"),
        tags.td(class_="number")(format_bytes(client.bytes)),
    )


def _counts(counts: Mapping[str, int]) -> Tag:
    if not any(counts.values()):
        return tags.p(class_="quiet")("Nobody.")
    head = tags.tr(tags.th(scope="col")("Reason"), tags.th(scope="col", class_="number")("Clients"))
    rows = [(name, f"{count:,}") for name, count in counts.items() if count]
    cells = (tags.tr(tags.th(scope="row")(name), tags.td(class_="number")(count)) for name, count in rows)
    return tags.table(tags.thead(head), tags.tbody(cells))


def _time(seconds: float) -> Tag:
    """Return a time of day in UTC, with a place where a narrow column can break it."""
    exact = wire.format_time(seconds)
    return tags.time(datetime=exact)(exact.replace("T", " "))


def format_bytes(count: float) -> str:
    """Return a count of bytes in about three digits: `624 B`, `12.3 MB`."""
    power = 0
    while count >= 999.5 and power < len(_UNITS) - 1:  # noqa: PLR2004 -- what would be shown as a thousand
        count, power = count / 1000, power + 1
    return f"{count:.{0 if power == 0 or count >= 100 else 1}f} {_UNITS[power]}"  # noqa: PLR2004 -- three digits
