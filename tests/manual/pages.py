"""The three pages: which sections of the README each is made of, and what only a manual page says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.manual import programs
from tests.manual.blocks import MoreRows

_IN_CAPITALS = re.compile(
    r"((?<=\[)(?:options|command)(?=\])|\b(?:ADDRESS|FILE|FOLDER|HOST|NAME|PATH|PORT|SECONDS|TEXT)\b)"
)
_IN_ANGLES = re.compile(r"<([a-z0-9 ]+)>")

TITLES = {
    "command": "COMMANDS",
    "option": "OPTIONS",
    "exit code": "EXIT STATUS",
    "For programs": "JSON OUTPUT",
    "As a service": "RUNNING AS A SERVICE",
}
"""What manual pages call the passages whose own names are not to be headings."""
FIRST = ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "EXIT STATUS")
LAST = ("ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO")
"""The conventional order; other sections stand between, as in the README."""
MANUALS = {1: "User Commands", 7: "Protocols"}
"""What stands above the pages of a section."""


@dataclass(frozen=True)
class Part:
    """A section of the README: one of that title with its passages below, or, without, a section for each of them."""

    heading: str
    title: str = ""
    without: frozenset[str] = frozenset()
    """Passages that concern another page."""


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
    more: Mapping[str, MoreRows] = field(default_factory=dict)
    """Where the rows come from that a table of the README, named by its first column, has not."""
    is_introduced: bool = False
    """Whether it begins with what the README says of chatfile as a whole."""
    examples: str = ""
    """What stands in the examples that it takes; it takes none where this is empty."""
    own: Mapping[str, str] = field(default_factory=dict)
    """Sections in Markdown that the README has not in one place."""

    def __str__(self) -> str:
        return f"{self.name}({self.section})"


CLIENT = Page(
    "chatfile-client",
    1,
    programs.client_purpose(),
    (Part("The client"), Part("TLS", "TLS", frozenset({"A private authority", "The server"}))),
    ("chatfile-server(1)", "chatfile(7)", "sha256sum(1)", "jq(1)"),
    _IN_CAPITALS,
    programs.client_synopsis,
    programs.client_values(),
    {"option": programs.client_rows},
    examples="chatfile-client",
    own={
        "ENVIRONMENT": """
| variable | |
| --- | --- |
| `NO_COLOR` | where it is set, and not empty, nothing is in colour |
| `TERM` | on a terminal that is `dumb`, progress is one line for each file |
| `XDG_STATE_HOME` | the folder of the prompt's history; `~/.local/state` where it is not set |
""",
        "FILES": """
| file | |
| --- | --- |
| `client_downloads` | where files are saved unless `--downloads` says otherwise |
| `.NAME.part`, `.NAME.note` | beside `NAME`: what came of a download that was interrupted, and of which source |
| `$XDG_STATE_HOME/chatfile/history` | what was typed at the prompt |
""",
    },
)
SERVER = Page(
    "chatfile-server",
    1,
    programs.server_purpose(),
    (
        Part("The server"),
        Part("TLS", "TLS", frozenset({"The client"})),
        Part("What is promised", "WHAT IS PROMISED, AND WHAT IS NOT"),
    ),
    ("chatfile-client(1)", "chatfile(7)", "twistd(1)", "systemd.socket(5)", "openssl(1)"),
    _IN_CAPITALS,
    programs.server_synopsis,
    programs.server_values(),
    {"option": programs.server_rows},
    is_introduced=True,
    own={
        "FILES": """
| file | |
| --- | --- |
| `server_files` | the folder that is served unless `--files` says otherwise |
| `twistd.pid`, `twistd.log` | in the working directory of a daemon that `twistd` made |
""",
    },
)
PROTOCOL = Page(
    "chatfile",
    7,
    "chatfile/1, the line protocol of a file server you can talk to",
    (Part("The protocol"),),
    ("chatfile-client(1)", "chatfile-server(1)", "nc(1)", "sha256sum(1)"),
    _IN_ANGLES,
    is_introduced=True,
    examples="$ nc ",
)
PAGES = (CLIENT, SERVER, PROTOCOL)
