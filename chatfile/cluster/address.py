"""Where the engine is, as `--cluster` says it: a URL, or a file that holds one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

PORTS = {"redis": 6379, "sentinel": 26379}
_SCHEMES = {
    "redis": ("redis", False), "rediss": ("redis", True), "valkey": ("redis", False), "valkeys": ("redis", True),
    "sentinel": ("sentinel", False), "sentinels": ("sentinel", True),
}  # fmt: skip
_FILES = ("cafile", "cert", "key")
_LONGEST = 4096
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """The engine, or the Sentinels that know where it is; `password` and `user` never show in its `repr`."""

    hosts: tuple[tuple[str, int], ...]
    """Names or addresses with their ports: the engine alone, or all Sentinels."""
    master: str | None = None
    """The name by which Sentinels know the engine; None where there are none."""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    database: int = 0
    is_encrypted: bool = False
    cafile: str | None = None
    """A PEM file of the authorities to trust instead of the system's; only over TLS, as the next two."""
    cert: str | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        """Return what is shown of it, in logs and to operators."""
        places = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return places if self.master is None else f"{self.master} of {places}"


def read_engine_address(text: str) -> EngineAddress:
    """Return the address in `text`, or, where that is `@PATH`, in the first line of a file.

    Raises ValueError, with the reason as the end of a sentence that shows nothing of the URL, and OSError.
    """
    return parse_engine_url(_read_file(text[1:]) if text.startswith("@") else text)


def _read_file(path: str) -> str:
    def without_waiting(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK)  # a pipe would wait for its writer

    with open(path, encoding="utf-8", errors="replace", opener=without_waiting) as file:
        return file.readline(_LONGEST).strip()


def parse_engine_url(url: str) -> EngineAddress:
    """Return the address in a URL: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` over TLS.

    `valkey` means the same as `redis`. `sentinel://HOST:PORT,HOST:PORT/MASTER[/DATABASE]` asks Sentinels where the
    engine is. Over TLS, `?cafile=PATH&cert=PATH&key=PATH` may follow. Raises ValueError.
    """
    if not url.isprintable() or " " in url or len(url) >= _LONGEST:
        raise ValueError("it holds spaces or control characters, or is too long")
    parts = _split(url)
    if parts.scheme not in _SCHEMES or parts.fragment:
        raise ValueError("it should begin with redis://, rediss:// (TLS) or sentinel://")
    kind, is_encrypted = _SCHEMES[parts.scheme]
    user, password = _credentials(parts)
    *master, database = _path(parts.path, kind)
    return EngineAddress(
        _hosts(parts.netloc.rpartition("@")[2], kind),
        master[0] if master else None,
        user,
        password,
        _database(database),
        is_encrypted,
        **_files(parts, is_encrypted=is_encrypted),
    )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # which shows the password
        raise ValueError("it can't be understood: what is no ASCII, or one of :/?#[]@, is written %XX") from None


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    """Return the user and the password; a user alone is none, for the engine wants a password of it."""
    user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
    if user and not password:
        raise ValueError("there is a user without a password in it")
    return unquote(user) or None, unquote(password) if colon and password else None


def _path(path: str, kind: str) -> list[str]:
    """Return the name of the master, of Sentinels, and the database."""
    names = [unquote(each) for each in path.split("/")[1:]]
    if kind == "redis":
        names = names or [""]
        wanted = 1
    else:
        names = names if len(names) > 1 else [*names, ""]
        wanted = 2
    if len(names) != wanted or (kind == "sentinel" and not names[0]):
        what = "/MASTER or /MASTER/DATABASE" if kind == "sentinel" else "nothing, or /DATABASE"
        raise ValueError(f"behind its host there should be {what}")
    return names


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{0,5}", text):
        raise ValueError("its database is no number")
    return int(text or "0")


def _hosts(text: str, kind: str) -> tuple[tuple[str, int], ...]:
    hosts = tuple(parse_host(each, PORTS[kind]) for each in text.split(","))
    if kind == "redis" and len(hosts) != 1:
        raise ValueError("it names several hosts: only Sentinels are several")
    return hosts


def parse_host(text: str, default: int) -> tuple[str, int]:
    """Return the host and the port in `HOST:PORT`, of which the port may be missing. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", text)
    if match is None:
        raise ValueError("it names no host, or one that can't be understood (IPv6 is written [::1])")
    port = int(match[3] or default)
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"there is no port {port}")
    return match[1] or match[2], port


def _files(parts: SplitResult, *, is_encrypted: bool) -> dict[str, str]:
    named = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not named.keys() <= set(_FILES):
        raise ValueError("behind a ? in it there should be nothing but cafile, cert and key")
    if named and not is_encrypted:
        raise ValueError("files of certificates are a matter of TLS: it should begin with rediss:// or sentinels://")
    if not all(named.values()):
        raise ValueError("a file in it has no name")
    return named
