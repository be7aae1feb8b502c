"""The addresses of servers that speak TLS, as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_PORT = 5000
LAST_PORT = 65535

_FIELD = r"(?:[^:\\]|\\.)+"
_FORM = re.compile(rf"tls:(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<host>{_FIELD}))(?P<rest>(?::{_FIELD})*)", re.DOTALL)
_NAMED = re.compile(r"([A-Za-z]+)=(.*)", re.DOTALL)
_ARGUMENTS = {"host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"}


@dataclass(frozen=True)
class Address:
    """A host that speaks TLS, and the arguments of Twisted's endpoint description of it."""

    host: str
    port: int = DEFAULT_PORT
    arguments: tuple[tuple[str, str], ...] = ()


def parse_address(text: str) -> Address | None:
    """Parse `tls:HOST`, `tls:HOST:PORT` or `tls:[::1]:PORT`, with further arguments; return None without `tls:`.

    Raises ValueError, with the reason as the end of a sentence.
    """
    if not text.startswith("tls:"):
        return None
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError("it should be tls:HOST:PORT or tls:[IPv6]:PORT")
    fields = re.findall(_FIELD, match["rest"])
    named = _named("host", match["bracketed"]) if match["bracketed"] else _named(*_field(match["host"], "host"))
    for place, field in enumerate(fields):
        named |= _named(*_field(field, "port" if place == 0 else "a third field"))
    host, port = named.pop("host", ""), named.pop("port", str(DEFAULT_PORT))
    if not host or host.isspace():
        raise ValueError("it names no host")
    return Address(host, _port(port), tuple(named.items()))


def _field(text: str, otherwise: str) -> tuple[str, str]:
    match = _NAMED.fullmatch(text)
    name, value = match.groups() if match else (otherwise, text)
    return name, re.sub(r"\\(.)", r"\1", value)


def _named(name: str, value: str) -> dict[str, str]:
    if name not in _ARGUMENTS:
        raise ValueError(f"{name} is nothing that it can hold")
    if not value:
        raise ValueError(f"its {name} is empty")
    return {name: value}


def _port(digits: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", digits) or not 0 < int(digits) <= LAST_PORT:
        raise ValueError(f"there is no port {digits}")
    return int(digits)
