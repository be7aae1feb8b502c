"""The values of options and arguments, checked as argparse wants it: ArgumentTypeError tells what is wrong."""

from __future__ import annotations

import argparse
import ipaddress
import math
import re

from chatfile import errors, tls, wire

DEFAULT_SERVER = "127.0.0.1"
DEFAULT_PORT = 5000
DEFAULT_DOWNLOADS = "client_downloads"
DEFAULT_TIMEOUT = 60.0
LAST_PORT = 65535
SHORTEST_INTERVAL = 0.1
LEAST_RATE = 2000
"""Bytes a second: below that, a server may take the client for one that has stalled."""

_ENDPOINT = re.compile(r"(tcp|tls|unix):")  # not ssl: it would verify nothing of the server
_BRACKETED = re.compile(r"\[([^\]]+)\](?::([0-9]+))?")
_HOST = re.compile(r"([^:\[\]\s]+)(?::([0-9]+))?")


def client_endpoint_description(server: str) -> str:
    """Return the endpoint description for `server`: HOST, HOST:PORT, [::1]:PORT, or such a description itself.

    Raises ValueError where it is none of these.
    """
    if _ENDPOINT.match(server):
        tls.parse_address(server)
        return server
    match = _BRACKETED.fullmatch(server) or _HOST.fullmatch(server)
    host, port = match.groups() if match else (server, None)
    if match is None:
        ipaddress.IPv6Address(server.partition("%")[0])
    number = DEFAULT_PORT if port is None else int(port)
    if not 0 < number <= LAST_PORT:
        raise ValueError(f"there is no port {number}")
    escaped = host.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"tcp:host={escaped}:port={number}"


def parse_server_option(text: str) -> str:
    """Return `text`, the address of a server. Raises ArgumentTypeError where it is none."""
    try:
        client_endpoint_description(text)
    except ValueError as error:
        if "no port" in str(error):
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of HOST, HOST:PORT, [IPv6]:PORT, tcp:..., tls:... or unix:PATH"
        ) from None
    return text


def parse_seconds(text: str) -> float:
    """Return a number of seconds, 0 or more. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def parse_rate_option(text: str) -> int:
    """Return a number of bytes a second, 0 for no limit. Raises ArgumentTypeError."""
    from chatfile.rates import parse_rate  # noqa: PLC0415 -- only behind its option

    try:
        rate = parse_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if 0 < rate < LEAST_RATE:
        raise argparse.ArgumentTypeError(f"{text!r} is less than {LEAST_RATE} bytes a second")
    return rate


def parse_interval(text: str) -> float:
    """Return the seconds between two looks. Raises ArgumentTypeError where they are too few."""
    number = parse_seconds(text)
    if number < SHORTEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text!r} is less than {SHORTEST_INTERVAL:g} seconds")
    return number


def parse_folder(text: str) -> str:
    """Return `text`, the path of a folder. Raises ArgumentTypeError where it is empty."""
    return parse_path(text, "folder")


def parse_path(text: str, what: str = "file") -> str:
    """Return `text`, the path of a file. Raises ArgumentTypeError where it is empty."""
    if not text:
        raise argparse.ArgumentTypeError(f"it needs the name of a {what}")
    return text


def utf8(argument: str) -> str:
    """Return an argument with its bytes decoded as UTF-8: the locale may have decoded them otherwise."""
    return argument.encode(errors="surrogateescape").decode(errors="surrogateescape")


def parse_name(argument: str) -> str:
    """Return `argument`, a name or pattern, as UTF-8. Raises ArgumentTypeError where it can't be asked for."""
    name = utf8(argument)
    try:
        wire.check_path(name)
        wire.format_request(wire.Get(name))
    except errors.ChatFileError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def parse_remote_folder(argument: str) -> str:
    """Return the path of a folder on the server, without the slash behind it. Raises ArgumentTypeError."""
    return parse_name(argument.removesuffix("/")) if argument.removesuffix("/") else ""


def parse_sha256(argument: str) -> str:
    """Return a digest in hex, as it was typed. Raises ArgumentTypeError where it is none."""
    if not re.fullmatch("[0-9a-fA-F]{64}", argument):
        raise argparse.ArgumentTypeError(f"{argument!r} is no SHA-256: that has 64 hexadecimal digits")
    return argument
