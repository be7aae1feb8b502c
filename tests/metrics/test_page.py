"""The page for people: it shows what there is, to everybody, and nothing that a stranger can make it do."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from chatfile.admission import ClientRecord
from chatfile.metrics.page import CLIENTS_SHOWN, STYLE, PageContent, format_bytes, page
from tests.metrics.browsing import MetricsPort
from tests.support.serving import NOON, Server


class Outline(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def shown(server: Server, **changes: object) -> Outline:
    """The page with some of its content changed."""
    content = {
        "now": NOON, "is_draining": False, "is_live": False, "seats": 2, "activity": server.factory.activity(),
        "connected": 1, "clients": [], "rates": [], "facts": [],
    } | changes  # fmt: skip
    made: list[bytes] = []
    Deferred.fromCoroutine(page(PageContent(**content))).addCallback(made.append)  # type: ignore[arg-type]
    return Outline(made[0].decode())


def record(name: str, address: str = "127.0.0.1:1") -> ClientRecord:
    return ClientRecord(name, address, NOON, None, 1, 1_234_567)


def test_it_shows_who_is_here_and_not_who_was(server: Server, port: MetricsPort) -> None:
    gone, here = server.greeted(), server.greeted()
    gone.vanishes()
    here.sends(b"get a\n")
    outline = Outline(port.get("/"))
    assert "Client02 127.0.0.1:40002 2026-11-22 12:00:00Z 1 1.0 kB" in re.sub(" +", " ", outline.text)
    assert "Client01" not in outline.text
    assert "1 of 2" in outline.text


def test_it_shows_refusals_and_departures_by_reason(server: Server, port: MetricsPort) -> None:
    peers = [server.greeted() for _ in range(3)]
    peers[0].vanishes()
    assert re.search(r"no seat was free\s+1\b.*closed\s+1\b", Outline(port.get("/")).text)


def test_the_rate_is_a_curve_and_words(server: Server) -> None:
    outline = shown(server, rates=[(10.0, 0.0), (5.0, 1e6), (0.0, 0.0)])
    (svg,) = outline.all("svg")
    words = "0 B/s now, 333 kB/s on average, 1.0 MB/s at most"
    assert (svg["role"], svg["aria-label"]) == ("img", f"The last ten minutes: {words}.")
    assert words in outline.text
    (line,) = outline.all("polyline")
    assert line["points"] == "590.0,100.0 595.0,0.0 600.0,100.0"


def test_the_rate_of_a_server_that_sends_nothing_is_a_flat_line(server: Server) -> None:
    (line,) = shown(server, rates=[(5.0, 0.0), (0.0, 0.0)]).all("polyline")
    assert line["points"] == "595.0,100.0 600.0,100.0"


def test_what_was_sent_is_measured_while_the_service_runs(server: Server, port: MetricsPort) -> None:
    assert "measured yet" in port.get("/")
    port.service._recent.start()
    peer = server.greeted()
    server.clock.advance(1)
    peer.sends(b"get a\n")
    server.clock.advance(4)
    assert "200 B/s now" in port.get("/")
    port.service._recent.stop()


def test_a_drain_is_seen(port: MetricsPort) -> None:
    assert "going down" not in port.get("/")
    port.service.is_draining = True
    assert "going down" in port.get("/")


def test_it_loads_itself_again_only_if_that_is_asked_for(port: MetricsPort) -> None:
    assert "refresh" not in port.connect().ask("/").headers
    assert port.connect().ask("/?live=on").headers["refresh"] == "5"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "&lt;", "</style><b>", "\u202ex"])
def test_what_strangers_say_is_text(server: Server, text: str) -> None:
    before = shown(server, clients=[record("x", "y")], facts=[("x", "y")])
    outline = shown(server, clients=[record(text, text)], facts=[(text, text)])
    assert outline.elements == before.elements
    assert outline.text.count(text.replace("\u202e", "\\u202e")) >= 2


def test_a_crowd_is_cut_short_and_counted(tmp_path: Path) -> None:
    server = Server(tmp_path, limit=CLIENTS_SHOWN + 7)
    for _ in range(CLIENTS_SHOWN + 7):
        server.greeted()
    outline = Outline(MetricsPort(server).get("/"))
    assert len(outline.all("tr")) == CLIENTS_SHOWN + 1
    assert f"Client{CLIENTS_SHOWN + 7}" in outline.text
    assert "Client07" not in outline.text
    assert "And 7 who came before." in outline.text


def test_it_needs_nothing_but_itself(server: Server, port: MetricsPort) -> None:
    server.greeted()
    response = port.connect().ask("/")
    outline = Outline(response.body.decode())
    assert {name for name, _ in outline.elements} & {"script", "link", "img", "iframe", "object", "form"} == set()
    for _, attributes in outline.elements:
        assert {name for name in attributes if name.startswith("on") or name in ("style", "src")} == set()
    (style,) = re.findall(r"<style>(.*?)</style>", response.body.decode(), re.DOTALL)
    assert style == STYLE, "it has to be as its digest is, so it has none of the characters that are escaped"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(each.strip().split(" ", 1) for each in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert {policy[each] for each in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}


def test_everybody_can_read_it(server: Server, port: MetricsPort) -> None:
    server.greeted()
    outline = Outline(port.get("/"))
    assert outline.all("html") == [{"lang": "en"}]
    assert len(outline.all("h1")) == len(outline.all("main")) == 1
    assert all(cell.get("scope") in ("col", "row") for cell in outline.all("th"))
    named = [each for each in outline.all("section") + outline.all("div") if "aria-labelledby" in each]
    identities = {attributes["id"] for _, attributes in outline.elements if "id" in attributes}
    assert {each["aria-labelledby"] for each in named} <= identities
    assert len(outline.all("section")) == len({each["aria-labelledby"] for each in outline.all("section")})


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2, of a colour `#rrggbb`."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def palettes() -> Sequence[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    return [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
@pytest.mark.parametrize("text", ["text", "quiet", "strong", "warn"])
def test_text_stands_out_from_what_is_behind_it(palette: dict[str, str], text: str) -> None:
    """By as much as WCAG 2.2 asks for at its level AA, and where it can be more, at AAA."""
    for behind in ("ground", "card"):
        assert contrast(palette[text], palette[behind]) >= (7 if text == "text" else 4.5)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (12_345_678, "12.3 MB"),
     (10**15, "1000 TB")],
)  # fmt: skip
def test_bytes_are_told_in_three_digits(count: int, text: str) -> None:
    assert format_bytes(count) == text
