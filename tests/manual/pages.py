"""The three pages: which files and sections of `docs/` each is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.manual import programs

_IN_CAPITALS = re.compile(
    r"((?<=\[)(?:options|command)(?=\])|\b(?:ADDRESS|FILE|FOLDER|HOST|NAME|PATH|PORT|SECONDS|TEXT)\b)"
)
_IN_ANGLES = re.compile(r"<([a-z0-9 ]+)>")

TITLES = {
    "": "DESCRIPTION",
    "A conversation": "EXAMPLES",
    "Exit codes": "EXIT STATUS",
    "As a service": "RUNNING AS A SERVICE",
    "In a container": "RUNNING IN A CONTAINER",
}
"""What manual pages call the sections whose own names are not to be headings."""
FIRST = ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS")
LAST = ("ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO")
"""The conventional order; other sections stand between, as in the docs."""
MANUALS = {1: "User Commands", 7: "Protocols"}
"""What stands above the pages of a section."""


@dataclass(frozen=True)
class Part:
    """A file of `docs/`: one section of that title with its own below, or, without a title, each of them."""

    file: str
    title: str = ""
    only: str = ""
    """The one section that is taken; all are where this is empty."""
    without: frozenset[str] = frozenset()
    """Sections that concern another page."""

    def has(self, section: str) -> bool:
        """Tell whether `section` is taken."""
        return section == self.only if self.only else section not in self.without


@dataclass(frozen=True)
class Page:
    """One page, and what it is made of."""

    name: str
    section: int
    purpose: str
    parts: tuple[Part, ...]
    see_also: tuple[str, ...]
    placeholders: re.Pattern[str]
    """What stands for something else within code, in its only group."""
    synopsis: Callable[[], list[str]] | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    """What its options take."""

    def has(self, file: str, section: str) -> bool:
        """Tell whether the page has `section` of `file`."""
        return any(part.file == file and part.has(section) for part in self.parts)

    def __str__(self) -> str:
        return f"{self.name}({self.section})"


CLIENT = Page(
    "chatfile-client",
    1,
    programs.client_purpose(),
    (Part("client.md"), Part("tls.md", "TLS", without=frozenset({"A private authority", "The server"}))),
    ("chatfile-server(1)", "chatfile(7)", "sha256sum(1)", "jq(1)"),
    _IN_CAPITALS,
    programs.client_synopsis,
    programs.client_values(),
)
SERVER = Page(
    "chatfile-server",
    1,
    programs.server_purpose(),
    (
        Part("server.md"),
        Part("tls.md", "TLS", without=frozenset({"The client"})),
        Part("cluster.md", "SEVERAL NODES"),
        Part("threats.md", "WHAT IS PROMISED, AND WHAT IS NOT", only="What is promised, and what is not"),
    ),
    ("chatfile-client(1)", "chatfile(7)", "twistd(1)", "systemd.socket(5)", "openssl(1)"),
    _IN_CAPITALS,
    programs.server_synopsis,
    programs.server_values(),
)
PROTOCOL = Page(
    "chatfile",
    7,
    "chatfile/1, the line protocol of a file server you can talk to",
    (Part("protocol.md"),),
    ("chatfile-client(1)", "chatfile-server(1)", "nc(1)", "sha256sum(1)"),
    _IN_ANGLES,
)
PAGES = (CLIENT, SERVER, PROTOCOL)
