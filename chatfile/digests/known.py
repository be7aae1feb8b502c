"""The digests that are known, in memory: one for each file, bounded, those that were asked for latest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from chatfile.digests.versions import Version

ANY_DEVICE = 0
"""Stands for the device of a file whose digest was read from a store: device numbers change from boot to boot."""


class KnownDigests:
    """Keeps digests; its methods can be called in any thread, each step of them being one of the interpreter's."""

    MOST = 10_000
    """Digests kept unless told otherwise; some 500 bytes each."""
    MOST_AHEAD = 100_000
    """Digests kept where they are computed ahead of all requests, or outlast the server."""

    def __init__(self, most: int = MOST) -> None:
        """Begin without digests, of which at most so many are kept."""
        self.most = most
        self._digests: OrderedDict[tuple[int, int], tuple[Version, str]] = OrderedDict()
        self._on_add: Callable[[Version, str], None] | None = None

    def __len__(self) -> int:
        """Count the digests."""
        return len(self._digests)

    def on_add(self, tell: Callable[[Version, str], None]) -> None:
        """Call `tell(version, sha256)`, in any thread, for each digest that is added from now on."""
        self._on_add = tell

    def find(self, version: Version) -> str | None:
        """Return the digest of `version`, and keep it for longer; None if it is not known."""
        for device in (version[0], ANY_DEVICE):
            file = device, version[1]
            known = self._digests.get(file)
            if known is not None and known[0][1:] == version[1:]:
                self._use(file)
                return known[1]
        return None

    def versions(self) -> set[Version]:
        """Return the versions of which there are digests, as a store has them: each as one of any device."""
        return {(ANY_DEVICE, *version[1:]) for version, _ in list(self._digests.values())}

    def _use(self, file: tuple[int, int]) -> None:
        try:
            self._digests.move_to_end(file)
        except KeyError:
            pass  # it was dropped meanwhile, by another thread

    def add(self, version: Version, sha256: str) -> None:
        """Keep the digest of `version`, in place of that of any other version of the same file."""
        self._digests.pop((ANY_DEVICE, version[1]), None)
        self.put_back(version, sha256)
        if self._on_add is not None:
            self._on_add(version, sha256)

    def put_back(self, version: Version, sha256: str) -> None:
        """Keep a digest that was known before, and that nobody needs to be told of."""
        self._digests[version[:2]] = version, sha256
        self._use(version[:2])
        if len(self._digests) > self.most:
            self._digests.popitem(last=False)
