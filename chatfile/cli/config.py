"""The configuration of a run of `chatfile-client`: one frozen value, which `arguments` makes and all else reads."""

from __future__ import annotations

from dataclasses import dataclass

from chatfile.cli.commands import STDOUT, Command, GetFiles, WatchClients

DEFAULT_SERVER = "127.0.0.1"
DEFAULT_PORT = 5000
DEFAULT_DOWNLOADS = "client_downloads"
DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The options, checked, and the command. Without a command, lines are read from standard input or at the prompt."""

    server: str = f"{DEFAULT_SERVER}:{DEFAULT_PORT}"
    """HOST, HOST:PORT, [IPv6]:PORT, or the description of an endpoint."""
    downloads: str = DEFAULT_DOWNLOADS
    timeout: float = DEFAULT_TIMEOUT
    """Seconds without progress before giving up; 0 is never."""
    wait: float = 0.0
    """Seconds for which a server that is full is tried again."""
    cafile: str | None = None
    cert: str | None = None
    key: str | None = None
    as_json: bool = False
    is_quiet: bool = False
    command: Command | WatchClients | None = None
    completion: str | None = None
    """The shell whose completion script is shown, instead of anything else."""

    @property
    def writes_to_stdout(self) -> bool:
        """Tell whether the bytes of a file go to standard output."""
        return isinstance(self.command, GetFiles) and self.command.output == STDOUT
