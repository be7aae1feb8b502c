"""SHA-256 of files, each computed once for all clients that ask for it, and kept as long as the file stays as it is."""

from chatfile.digests.digests import Digests
from chatfile.digests.known import KnownDigests
from chatfile.digests.versions import (
    VERDICTS,
    Change,
    FileChanged,
    Reading,
    Verdict,
    Version,
    file_version,
    find_change,
    is_settled,
)

__all__ = [
    "VERDICTS",
    "Change",
    "Digests",
    "FileChanged",
    "KnownDigests",
    "Reading",
    "Verdict",
    "Version",
    "file_version",
    "find_change",
    "is_settled",
]
