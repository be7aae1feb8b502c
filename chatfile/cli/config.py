"""What a run of `chatfile-client` was asked for: one frozen value, which everything below `arguments` reads."""

from __future__ import annotations

from dataclasses import dataclass

from chatfile.cli.commands import STDOUT, Command, GetFiles

DEFAULT_SERVER = "127.0.0.1"
DEFAULT_PORT = 5000
DEFAULT_DOWNLOADS = "client_downloads"
DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The options, checked, and the command; None is for the lines of standard input, or the prompt."""

    server: str = f"{DEFAULT_SERVER}:{DEFAULT_PORT}"
    """HOST, HOST:PORT, [IPv6]:PORT, or the description of an endpoint."""
    downloads: str = DEFAULT_DOWNLOADS
    timeout: float = DEFAULT_TIMEOUT
    """Seconds without progress before giving up; 0 is never."""
    wait: float = 0.0
    """Seconds for which a server that is full is asked again."""
    cafile: str | None = None
    cert: str | None = None
    key: str | None = None
    as_json: bool = False
    is_quiet: bool = False
    command: Command | None = None
    completion: str | None = None
    """The shell whose completion is to be shown, instead of all else."""

    @property
    def writes_to_stdout(self) -> bool:
        """Tell whether the bytes of a file go to standard output."""
        return isinstance(self.command, GetFiles) and self.command.output == STDOUT
