"""The options of `twistd chatfile`, checked before anything is opened."""

from __future__ import annotations

import errno
import os
import re
import resource
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.python import usage

from chatfile import errors, program_and_version, tls

if TYPE_CHECKING:
    import argparse

    from twisted.internet.endpoints import AdoptedStreamServerEndpoint

    from chatfile.tls.files import ServerTLS

DEFAULT_PORT = "5000"
LAST_PORT = 65535
SIGPIPE_STATUS = 141
"""The exit status if standard output was closed before all was written: that of a program which SIGPIPE has ended."""
DEFAULT_FILES = "server_files"
RESERVED_DESCRIPTORS = 32
"""Descriptors that the process needs beside its clients' sockets; if they run out, files are `unavailable`."""
LEAST_UNSEATED = 8
"""Connections without a seat that are kept at once even if descriptors are few; they use some of the reserved ones."""

_NUMBER = re.compile(r"[0-9]{1,9}")
OWN_TLS = re.compile(r"(haproxy:)?(ssl|tls):")
"""Matches an endpoint description that has TLS of its own."""
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")


def _whole(option: str, text: object, least: int) -> int:
    text = str(text)
    if not _NUMBER.fullmatch(text) or int(text) < least:
        raise usage.UsageError(f"--{option}: {text!r} is not a whole number from {least} on")
    return int(text)


def _rate(option: str, text: object) -> int:
    if text == 0:
        return 0  # by default
    from chatfile.rates import parse_rate  # noqa: PLC0415 -- only where there is one

    try:
        return parse_rate(str(text))
    except ValueError as error:
        raise usage.UsageError(f"--{option}: {error}") from error


def _seconds(option: str, text: object) -> float:
    if not _SECONDS.fullmatch(str(text)):
        raise usage.UsageError(f"--{option}: {text!r} is not a number of seconds, such as 30, 0.5, or 0 for never")
    return float(str(text))


def _show(text: str) -> NoReturn:
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "closed")
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        if sys.stdout is not None:  # so that the interpreter does not try again to write it when it exits
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(SIGPIPE_STATUS)
        raise usage.UsageError(f"can't write to standard output: {os.strerror(error.errno or 0)}") from error
    sys.exit(0)


def _complete_shells() -> usage.CompleteList:
    from chatfile.completion import SHELLS  # noqa: PLC0415 -- serving needs none of it

    return usage.CompleteList(SHELLS)


_GROUPS = {
    "what is served": ("port", "files", "recursive", "max-clients", "no-digest"),
    "digests": ("state", "prehash"),
    "limits": (
        "max-per-address", "waiting", "rate", "rate-per-client", "history", "idle-timeout", "line-timeout",
        "stall-timeout", "flush-timeout", "disk-timeout", "drain-timeout",
    ),
    "TLS": ("certificate", "key", "client-ca"),
    "other": ("completion", "help", "version"),
}  # fmt: skip
"""The options as the help shows them."""
_METAVARS = {
    "port": "ADDRESS", "files": "FOLDER", "max-clients": "N", "max-per-address": "N", "waiting": "N",
    "history": "N", "rate": "BYTES", "rate-per-client": "BYTES",
    "state": "FOLDER", "certificate": "FILE", "key": "FILE", "client-ca": "FILE", "completion": "SHELL",
}  # fmt: skip
_EXAMPLES = """\
examples:
  twistd -n chatfile                             serve server_files on port 5000 of this machine
  chatfile-server -p 6000 -f music -r -n 10      another port, a folder with those in it, ten clients
  chatfile-server -p tcp:5000                    on every interface: read "Beyond loopback" in the README first
  chatfile-server -p unix:/run/chatfile/socket   a socket in the file system

"man chatfile-server" says more.
"""


class Options(usage.Options):
    """The command line of `twistd chatfile`; once it is parsed, a dict of checked values."""

    synopsis = "[options]"
    longdesc = "A file server you can talk to: serves the files of one folder, line by line, to a few clients at once."
    optParameters = [  # noqa: RUF012 -- as usage.Options wants it
        ["files", "f", DEFAULT_FILES, "Folder to serve; this default is created if missing."],
        ["max-clients", "n", 3, "Clients at once."],
        ["max-per-address", None, 0, "Clients at once from one address, 0: no limit."],
        ["waiting", None, 0, "Places in the line of clients that wait while it is full."],
        ["rate", None, 0, "Bytes a second that files are sent at (500K, 1.5M: powers of ten), 0: no limit."],
        ["rate-per-client", None, 0, "The same for each client; those of one address are one."],
        ["history", None, 1000, "How many disconnected clients status remembers."],
        ["idle-timeout", None, 300, "Seconds in which a client may ask nothing, 0: for ever."],
        ["line-timeout", None, 60, "Seconds that one line may take, 0: for ever."],
        ["stall-timeout", None, 60, "Seconds in which a client may take nothing of a reply, 0: for ever."],
        ["flush-timeout", None, 5, "Seconds in which one that is being closed may take nothing, 0: for ever."],
        ["disk-timeout", None, 30, "Seconds that one call to the disk may take, 0: for ever."],
        ["drain-timeout", None, 30, "Seconds that transfers may still take after SIGTERM, 0: for ever."],
        ["state", None, None, "Folder of the server's own, where digests survive a restart."],
        ["certificate", None, None, "PEM file of a certificate, and of those above it: ports speak TLS."],
        ["key", None, None, "PEM file of the certificate's key, if that is not in the same file."],
        ["client-ca", None, None, "PEM file of authorities: only who has a certificate of theirs is let in."],
    ]
    optFlags = [  # noqa: RUF012 -- likewise
        ["recursive", "r", "Serve its subfolders, too: tree shows them, and get takes paths."],
        ["no-digest", None, "Hash nothing: END carries - instead of a SHA-256."],
        ["prehash", None, "Hash files ahead, while no client is sent anything."],
    ]

    compData = usage.Completions(
        multiUse=["port"],
        optActions={
            "files": usage.CompleteDirs(),
            "state": usage.CompleteDirs(),
            "certificate": usage.CompleteFiles(),
            "key": usage.CompleteFiles(),
            "client-ca": usage.CompleteFiles(),
            "completion": _complete_shells,
        },
    )

    def __init__(self) -> None:
        """Begin without a port."""
        super().__init__()  # type: ignore[no-untyped-call]
        self["ports"] = []

    def getSynopsis(self) -> str:
        """Return the usage line: it begins with `twistd` only if that is the program."""
        if Path(sys.argv[0]).name == "twistd":
            return str(super().getSynopsis())
        return "Usage: chatfile-server [options]"

    def getUsage(self, width: int | None = None) -> str:  # noqa: ARG002 -- the window tells
        """Return the help: the options in groups, those that people use first, and examples."""
        return f"\n{self.longdesc}\n\n{as_argparse(self).format_help()}\n{_EXAMPLES}"

    def opt_port(self, port: str) -> None:
        """Port on 127.0.0.1, or any endpoint description; may be repeated. [5000]"""  # noqa: D415 -- as help
        self["ports"].append(port)

    opt_p = opt_port

    def opt_help(self) -> NoReturn:
        """Show this help and exit."""
        _show(f"{self}\n")

    opt_h = opt_help

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        _show(f"{program_and_version()}\n")

    def opt_completion(self, shell: str) -> NoReturn:
        """Show what completes this command line in a shell (bash, zsh, fish), and exit."""
        from chatfile.completion import SHELLS, script  # noqa: PLC0415 -- serving needs none of it

        if shell not in SHELLS:
            raise usage.UsageError(
                f"--completion: unknown shell {shell!r} (choose {', '.join(SHELLS[:-1])} or {SHELLS[-1]})"
            )
        _show(script("chatfile-server", shell))

    def parseArgs(self, *rest: str) -> None:
        """Refuse all arguments that are not options. Raises UsageError."""
        if rest:
            raise usage.UsageError(f"unexpected argument: {rest[0]}")

    def postOptions(self) -> None:
        """Check all values, and replace them by what they mean, before anything is opened. Raises UsageError."""
        _check_working_directory(self)
        for option, least in (("max-clients", 1), ("max-per-address", 0), ("waiting", 0), ("history", 0)):
            self[option] = _whole(option, self[option], least)
        for option in ("rate", "rate-per-client"):
            self[option] = _rate(option, self[option])
        for clock in ("idle", "line", "stall", "flush", "disk", "drain"):
            self[f"{clock}-timeout"] = _seconds(f"{clock}-timeout", self[f"{clock}-timeout"])
        self["endpoints"] = [endpoint_description(port) for port in self["ports"] or [DEFAULT_PORT]]
        for description in self["endpoints"]:
            _check_endpoint(description)
        self["tls"] = _checked_tls(self)
        self["max-unseated"] = _max_unseated(self["max-clients"], self["waiting"])
        _check_digest_options(self)
        self["folder"] = _checked_folder(self["files"])  # these two last, for they may create it
        self["state-folder"] = None if self["state"] is None else _checked_state(self["state"], self["folder"])


def as_argparse(options: Options) -> argparse.ArgumentParser:
    """Return a parser of the same options, which shows the help and is completed by shells; nothing is parsed by it."""
    import argparse  # noqa: PLC0415 -- serving needs none of it

    declared: list[Any] = options.optParameters
    defaults = {each[0]: each[2] for each in declared}
    parser = argparse.ArgumentParser("chatfile-server", add_help=False, usage=argparse.SUPPRESS)
    for title, names in _GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names:
            synonyms = sorted((each for each, long in options.synonyms.items() if long == name), key=len)
            what: dict[str, Any] = {"action": "store_true"}
            if f"{name}=" in options.longOpt:
                action = "append" if name in options.compData.multiUse else "store"
                what = {"action": action, "metavar": _METAVARS.get(name, "SECONDS")}
            meaning = " ".join((options.docs[name] or "").split())  # under `python -OO` there is none
            default = defaults.get(name)
            shown = f"{meaning} [{default}]" if default is not None else meaning
            flags = (f"{'-' if len(each) == 1 else '--'}{each}" for each in synonyms)
            group.add_argument(*flags, help=shown.replace("%", "%%"), **what)
    return parser


def endpoint_description(port: str) -> str:
    """Return the endpoint description of `port`: for a number, that port of 127.0.0.1; else it is one already.

    Raises UsageError for a number that no port has.
    """
    if not (port.isascii() and port.isdigit()):
        return port
    if not _NUMBER.fullmatch(port) or int(port) > LAST_PORT:
        raise usage.UsageError(f"--port: there is no port {port}; ports go from 0 (any free one) to 65535")
    return f"tcp:{int(port)}:interface=127.0.0.1"


def _check_endpoint(description: str) -> None:
    from twisted.internet import reactor  # noqa: PLC0415 -- twistd chooses the reactor first
    from twisted.internet.endpoints import (  # noqa: PLC0415 -- nor does --help need what takes so long to load
        AdoptedStreamServerEndpoint,
        serverFromString,
    )

    try:
        endpoint = serverFromString(reactor, description)
    except Exception as error:  # each kind of endpoint has errors of its own
        raise usage.UsageError(f"--port: {description!r} {_why_no_endpoint(description, error)}") from error
    if isinstance(endpoint, AdoptedStreamServerEndpoint):
        _check_inherited(description, endpoint)


def _why_no_endpoint(description: str, error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"needs what is not installed ({error.name}); for TLS: pip install pyopenssl service-identity"
    if isinstance(error, LookupError) and description.startswith("systemd:"):
        return (
            "is no socket that this process was handed, as systemd does it (with LISTEN_PID, LISTEN_FDS and "
            "LISTEN_FDNAMES in the environment); start it by way of its socket unit"
        )
    return f"is not a port number or endpoint description: {error}"


def _check_inherited(description: str, endpoint: AdoptedStreamServerEndpoint) -> None:
    """Raise UsageError if `endpoint` is no socket, or of another family: Twisted would make up clients' addresses."""
    try:
        inherited = socket.socket(fileno=endpoint.fileno)  # without a family, it finds out which one that is
    except OSError as error:
        raise usage.UsageError(f"--port: {description!r} is no socket: {os.strerror(error.errno or 0)}") from error
    inherited.detach()  # or its descriptor would be closed with it
    if inherited.family != endpoint.addressFamily:
        name = inherited.family.name.removeprefix("AF_")
        raise usage.UsageError(f"--port: {description!r} is a socket of another family; say domain={name}")


def _checked_tls(options: Options) -> ServerTLS | None:
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
        return tls.server_tls(certificate, key=key, client_ca=client_ca)
    except errors.ChatFileError as error:
        raise usage.UsageError(str(error)) from error


def _check_working_directory(options: Options) -> None:
    """Raise UsageError if the working directory is gone, and twistd has to write a pidfile there.

    By itself it would end with a traceback.
    """
    try:
        os.getcwd()
    except OSError as error:
        if options.parent is not None and options.parent["pidfile"]:
            raise usage.UsageError("the working directory is gone; start from another, or with --pidfile=") from error


def _checked_folder(folder: str) -> str:
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


def _check_digest_options(options: Options) -> None:
    for option in ("state", "prehash"):
        if options["no-digest"] and options[option] not in (None, 0):
            raise usage.UsageError(f"--{option}: there are no digests with --no-digest")


def _checked_state(state: str, served: str) -> str:
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


def _max_unseated(max_clients: int, waiting: int) -> int:
    """Return how many connections are kept without a seat or a place in the line, so that descriptors never run out.

    Raises UsageError if the limit of descriptors is too low for `max_clients` and those that are `waiting` alone.
    """
    from chatfile.server import MAX_UNSEATED  # noqa: PLC0415 -- --help does not need it

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MAX_UNSEATED
    needed = max_clients + waiting + RESERVED_DESCRIPTORS
    if needed > limit:
        others, or_that = (f" and {waiting} that wait", " or --waiting") if waiting else ("", "")
        raise usage.UsageError(
            f"--max-clients: this process may open {limit} descriptors, which is too few for {max_clients} clients"
            f"{others}; raise the limit (ulimit -n {needed + 2 * max_clients}) or lower --max-clients{or_that}"
        )
    return max(LEAST_UNSEATED, min(MAX_UNSEATED, (limit - needed) // 2))
