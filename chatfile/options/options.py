"""The options of `twistd chatfile`, checked before anything is opened."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.python import usage

from chatfile import program_and_version
from chatfile.options.checks import (
    DEFAULT_FILES,
    LOG_FORMATS,
    check_digest_options,
    check_endpoint,
    check_working_directory,
    checked_folder,
    checked_state,
    checked_tls,
    endpoint_description,
    max_unseated,
    rate_value,
    seconds_value,
    set_log_format,
    whole_number,
)
from chatfile.options.nodes import (
    DEFAULT_CLUSTER,
    DEFAULT_LEASE,
    METRICS_CONNECTIONS,
    checked_cluster,
    checked_metrics,
    node_capacity,
    trusted_proxies,
)

if TYPE_CHECKING:
    import argparse


DEFAULT_PORT = "5000"
SIGPIPE_STATUS = 141
"""The exit status if standard output was closed before all was written: that of a program which SIGPIPE has ended."""


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
    "several nodes": ("cluster", "cluster-name", "lease", "proxy-protocol-from", "metrics"),
    "other": ("log-format", "completion", "help", "version"),
}  # fmt: skip
"""The options as the help shows them."""
_METAVARS = {
    "port": "ADDRESS", "files": "FOLDER", "max-clients": "N", "max-per-address": "N", "waiting": "N",
    "history": "N", "rate": "BYTES", "rate-per-client": "BYTES",
    "state": "FOLDER", "certificate": "FILE", "key": "FILE", "client-ca": "FILE", "cluster": "URL",
    "cluster-name": "NAME", "proxy-protocol-from": "ADDRESSES", "metrics": "ADDRESS", "log-format": "FORMAT",
    "completion": "SHELL",
}  # fmt: skip
_CHOICES = {"log-format": LOG_FORMATS}
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
        ["cluster", None, None, "Redis or Valkey where nodes count their clients together: redis://HOST, or @FILE."],
        ["cluster-name", None, DEFAULT_CLUSTER, "Which cluster, of those there."],
        ["lease", None, DEFAULT_LEASE, "Seconds after which the seats of a node that is not heard of are free."],
        ["proxy-protocol-from", None, None, "Proxies (addresses, networks, unix) that tell who their clients are."],
        ["metrics", None, None, "Port on 127.0.0.1, or endpoint, of a page that shows how the server is."],
        ["log-format", None, "text", "How the log is written: text, or json, one object a line."],
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
            "log-format": usage.CompleteList(LOG_FORMATS),
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
        check_working_directory(self)
        for option, least in (("max-clients", 1), ("max-per-address", 0), ("waiting", 0), ("history", 0)):
            self[option] = whole_number(option, self[option], least)
        for option in ("rate", "rate-per-client"):
            self[option] = rate_value(option, self[option])
        for option in (f"{clock}-timeout" for clock in ("idle", "line", "stall", "flush", "disk", "drain")):
            self[option] = seconds_value(option, self[option])
        self["endpoints"] = [endpoint_description(port) for port in self["ports"] or [DEFAULT_PORT]]
        for description in self["endpoints"]:
            check_endpoint(description)
        self["tls"] = checked_tls(self)
        self["engine"] = checked_cluster(self)
        self["capacity"] = self["max-clients"] if self["engine"] is None else node_capacity(self["max-clients"])
        self["proxies"] = trusted_proxies(self["proxy-protocol-from"], self["endpoints"])
        self["metrics-endpoint"] = checked_metrics(self["metrics"])
        beside = METRICS_CONNECTIONS if self["metrics-endpoint"] else 0
        self["max-unseated"] = max_unseated(self["capacity"], self["waiting"], beside)
        check_digest_options(self)
        set_log_format(self)
        self["folder"] = checked_folder(self["files"])  # these two last, for they may create it
        self["state-folder"] = None if self["state"] is None else checked_state(self["state"], self["folder"])


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
                what = {"action": action, "metavar": _METAVARS.get(name, "SECONDS"), "choices": _CHOICES.get(name)}
            meaning = " ".join((options.docs[name] or "").split())  # under `python -OO` there is none
            default = defaults.get(name)
            shown = f"{meaning} [{default}]" if default is not None else meaning
            flags = (f"{'-' if len(each) == 1 else '--'}{each}" for each in synonyms)
            group.add_argument(*flags, help=shown.replace("%", "%%"), **what)
    return parser
