"""The checks of the server's options, which say in one line what is wrong."""

from __future__ import annotations

import errno
import os
import re
import resource
import socket
from typing import TYPE_CHECKING, Any

from twisted.python import usage

from chatfile import errors, tls

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from twisted.internet.endpoints import AdoptedStreamServerEndpoint

    from chatfile.tls.server import ServerTLS

LAST_PORT = 65535
DEFAULT_FILES = "server_files"
LOG_FORMATS = ("text", "json")
RESERVED_DESCRIPTORS = 32
"""Descriptors that the process needs beside its clients' sockets; if they run out, files are `unavailable`."""
LEAST_UNSEATED = 8
"""Connections without a seat that are kept at once even if descriptors are few; they use some of the reserved ones."""
_NUMBER = re.compile(r"[0-9]{1,9}")
OWN_TLS = re.compile(r"(haproxy:)?(ssl|tls):")
"""Matches an endpoint description that has TLS of its own."""
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")


def whole_number(option: str, text: object, least: int) -> int:
    """Return the value of `option`, a whole number from `least` on. Raises UsageError."""
    text = str(text)
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise usage.UsageError(f"--{option}: {text!r} is not a whole number from {least} on")
    return int(text)


def rate_value(option: str, text: object) -> int:
    """Return the value of `option`, bytes a second, 0 for no limit. Raises UsageError."""
    if text == 0:
        return 0  # by default
    from chatfile.rates import parse_rate  # noqa: PLC0415 -- only where there is one

    try:
        return parse_rate(str(text))
    except ValueError as error:
        raise usage.UsageError(f"--{option}: {error}") from error


def seconds_value(option: str, text: object) -> float:
    """Return the value of `option`, seconds, 0 for never. Raises UsageError."""
    if not _SECONDS.fullmatch(str(text)):
        raise usage.UsageError(f"--{option}: {text!r} is not a number of seconds, such as 30, 0.5, or 0 for never")
    return float(str(text))


def endpoint_description(port: str, option: str = "port") -> str:
    """Return the endpoint description of `port`: for a number, that port of 127.0.0.1; else it is one already.

    Raises UsageError for a number that no port has.
    """
    if not (port.isascii() and port.isdigit()):
        return port
    if not _NUMBER.fullmatch(port) or int(port) > LAST_PORT:
        raise usage.UsageError(f"--{option}: there is no port {port}; ports go from 0 (any free one) to 65535")
    return f"tcp:{int(port)}:interface=127.0.0.1"


def check_endpoint(description: str, option: str = "port") -> None:
    """Raise UsageError where no endpoint can be made of `description`."""
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first
    from twisted.internet.endpoints import (  # noqa: PLC0415 -- nor does --help need what takes so long to load
        AdoptedStreamServerEndpoint,
        serverFromString,
    )

    try:
        endpoint = serverFromString(reactor, description)
    except Exception as error:  # each kind of endpoint has errors of its own
        raise usage.UsageError(f"--{option}: {description!r} {_why_no_endpoint(description, error)}") from error
    if isinstance(endpoint, AdoptedStreamServerEndpoint):
        _check_inherited(description, endpoint, option)


def _why_no_endpoint(description: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"needs what is not installed ({error.name}); for TLS: pip install pyopenssl service-identity"
    if isinstance(error, LookupError) and description.startswith("systemd:"):
        return (
            "is no socket that this process was handed, as systemd does it (with LISTEN_PID, LISTEN_FDS and "
            "LISTEN_FDNAMES in the environment); start it by way of its socket unit"
        )
    return f"is not a port number or endpoint description: {error}"


def _check_inherited(description: str, endpoint: AdoptedStreamServerEndpoint, option: str) -> None:
    """Raise UsageError if `endpoint` is no socket, or of another family: Twisted would make up clients' addresses."""
    try:
        inherited = socket.socket(fileno=endpoint.fileno)  # without a family, it finds out which one that is
    except OSError as error:
        raise usage.UsageError(f"--{option}: {description!r} is no socket: {os.strerror(error.errno or 0)}") from error
    inherited.detach()  # or its descriptor would be closed with it
    if inherited.family != endpoint.addressFamily:
        name = inherited.family.name.removeprefix("AF_")
        raise usage.UsageError(f"--{option}: {description!r} is a socket of another family; say domain={name}")


def checked_tls(options: MutableMapping[str, Any]) -> ServerTLS | None:
    """Return what the ports need for TLS, or None without `--certificate`. Raises UsageError.

    An empty name is an error, not an option that was not given: a script with an unset variable must not open a port
    without TLS.
    """
    certificate, key, client_ca = (options[option] for option in ("certificate", "key", "client-ca"))
    for option in ("certificate", "key", "client-ca"):
        if options[option] == "":
            raise usage.UsageError(f"--{option}: it needs the name of a file")
    if certificate is None:
        for option in ("key", "client-ca"):
            if options[option] is not None:
                raise usage.UsageError(f"--{option}: that is a matter of TLS, and wants --certificate too")
        return None
    for description in () if client_ca is None else options["endpoints"]:
        if OWN_TLS.match(description):
            raise usage.UsageError(
                f"--client-ca: it does not hold at {description!r}, which has TLS of its own; give a port without"
            )
    try:
        return tls.server_tls(
            _absolute(certificate), key=key and _absolute(key), client_ca=client_ca and _absolute(client_ca)
        )
    except errors.ChatFileError as error:
        raise usage.UsageError(str(error)) from error


def set_log_format(options: usage.Options) -> None:
    """Have twistd log as `--log-format` says, by its own option, which it reads after ours. Raises UsageError."""
    log_format, twistd = options["log-format"], options.parent
    if log_format not in LOG_FORMATS:
        raise usage.UsageError(f"--log-format: {log_format!r} is no format (choose {' or '.join(LOG_FORMATS)})")
    if log_format == "text" or twistd is None:
        return
    if not (twistd["nodaemon"] or twistd["debug"]):
        raise usage.UsageError(
            "--log-format: json goes to standard output, which a daemon has not; start twistd with -n"
        )
    for other in ("logger", "syslog", "logfile"):
        if twistd[other] not in (None, 0, "", "-"):
            raise usage.UsageError(f"--log-format: json goes to standard output; leave out --{other} of twistd")
    twistd["logger"] = "chatfile.logs.json_lines"


def _absolute(path: str) -> str:
    """Return the absolute path of a file that is read anew later on: twistd may change its working directory first.

    Links are left as they are: a certificate is often renewed by giving a link another target. Raises `BadCertificate`.
    """
    try:
        return os.path.abspath(path)
    except OSError as error:  # the working directory is gone
        raise errors.BadCertificate(path=path, why=errors.reason(error)) from error


def check_working_directory(options: usage.Options) -> None:
    """Raise UsageError if the working directory is gone, and twistd has to write a pidfile there.

    By itself it would end with a traceback.
    """
    try:
        os.getcwd()
    except OSError as error:
        if options.parent is not None and options.parent["pidfile"]:
            raise usage.UsageError("the working directory is gone; start from another, or with --pidfile=") from error


def checked_folder(folder: str) -> str:
    """Return the absolute path of `folder`, for twistd may change its working directory later on.

    Creates the default folder. Raises UsageError if it can't be listed.
    """
    try:
        if not folder:
            raise FileNotFoundError(errno.ENOENT, "no name")
        path = os.path.realpath(folder)  # which fails where the working directory is gone
        if folder == DEFAULT_FILES:
            os.makedirs(path, exist_ok=True)
        os.listdir(path)
    except OSError as error:
        raise usage.UsageError(f"--files: can't serve {folder!r}: {os.strerror(error.errno or 0)}") from error
    return path


def check_digest_options(options: MutableMapping[str, Any]) -> None:
    """Raise UsageError where digests are to be kept, or computed ahead, and there are to be none."""
    for option in ("state", "prehash"):
        if options["no-digest"] and options[option] not in (None, 0):
            raise usage.UsageError(f"--{option}: there are no digests with --no-digest")


def checked_state(state: str, served: str) -> str:
    """Return the absolute path of the folder `state`, which is created if missing; `served` is the other one.

    Raises UsageError if files can't be made there, or if clients could ask for them.
    """
    path = os.path.realpath(state)
    try:
        if not state:
            raise FileNotFoundError(errno.ENOENT, "no name")
        if _is_within(path, served) or _is_within(served, path):
            raise usage.UsageError(f"--state: {state!r} can't be the folder that is served, nor within it or around it")
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise usage.UsageError(f"--state: can't keep anything in {state!r}: {error.strerror}") from error
    return path


def _is_within(path: str, folder: str) -> bool:
    """Tell whether `path`, which need not exist, is `folder` or lies within it, by whatever names. Raises OSError."""
    status = os.stat(folder) if os.path.exists(folder) else None
    while True:
        if path == folder or (status is not None and os.path.exists(path) and os.path.samestat(os.stat(path), status)):
            return True
        if (above := os.path.dirname(path)) == path:
            return False
        path = above


def max_unseated(max_clients: int, waiting: int, others: int = 0) -> int:
    """Return how many connections are kept without a seat or a place in the line, so that descriptors never run out.

    There can be so many `others`, which are no clients. Raises UsageError if the limit of descriptors is too low for
    these, `max_clients` and those that are `waiting` alone.
    """
    from chatfile.server import MAX_UNSEATED  # noqa: PLC0415 -- --help does not need it

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MAX_UNSEATED
    needed = max_clients + waiting + others + RESERVED_DESCRIPTORS
    if needed > limit:
        waiters, or_that = (f" and {waiting} that wait", " or --waiting") if waiting else ("", "")
        raise usage.UsageError(
            f"--max-clients: this process may open {limit} descriptors, which is too few for {max_clients} clients"
            f"{waiters}; raise the limit (ulimit -n {needed + 2 * max_clients}) or lower --max-clients{or_that}"
        )
    return max(LEAST_UNSEATED, min(MAX_UNSEATED, (limit - needed) // 2))
