"""Mirrors: a local folder becomes what a folder of the server is, and nothing of the user's own is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError

from chatfile import disk, errors, wire
from chatfile.client import ChatFileClient
from chatfile.disk import InThread, acquire, run_unawaited
from chatfile.downloads.ahead import DownloadAhead
from chatfile.downloads.manifest import Manifest, Removal, is_place_free
from chatfile.downloads.target import Download, Stage, local_place
from chatfile.partfile import Presence, Saved, Source, look_for, set_named_time
from chatfile.paths import LocalPath


class MirrorFilter:
    """Tells which files are mirrored, by patterns of their paths from the mirrored folder on."""

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        """Take the files that match a pattern of `include`, or all where there is none, but for those of `exclude`.

        A pattern with a `/` is matched with the whole path, any other one with each name in it.
        """
        self._include = include
        self._exclude = exclude

    def takes(self, path: str) -> bool:
        """Tell whether the file is mirrored."""
        is_included = not self._include or any(_matches(path, pattern) for pattern in self._include)
        return is_included and not any(_matches(path, pattern) for pattern in self._exclude)


def _matches(path: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(path, pattern.removeprefix("/"))
    return any(fnmatchcase(name, pattern) for name in path.split("/"))


class Mirror:
    """The mirror of a folder of the server, from a listing of it.

    Call `begin` first, then `remove_gone` if files are to be removed, then `download` for each of `rows`, as one of a
    `DownloadAhead`, and `finish` in any case. Files that a mirror has fetched, and that are here as they were fetched,
    are replaced or removed; all others only with `force`, or never.
    """

    SLICE = 1024
    """Files that are looked for, noted or removed in one call in a thread."""

    def __init__(
        self,
        listed: Sequence[wire.FileRow],
        folder: str,
        destination: str,
        *,
        takes: MirrorFilter | None = None,
        force: bool = False,
        by_digest: bool = False,
        saved: Saved | None = None,
        in_thread: InThread = disk.in_thread,
    ) -> None:
        """Prepare to make the local folder `destination` what `folder` is, a path on the server, or empty for all.

        `listed` is everything that is in it. See `DownloadAhead` for the other arguments.
        """
        self._prefix = f"{folder}/" if folder else ""
        self._destination = destination
        self._takes = takes or MirrorFilter()
        self._force = force
        self._by_digest = by_digest
        self._in_thread = in_thread
        self._listed = {row.name for row in listed}
        self.rows: list[wire.FileRow] = [row for row in listed if self._is_taken(row.name)]
        """The files that are taken; once it has begun, those of them that are not the same here."""
        self._ours: set[str] = set()
        self._fetched: list[tuple[str, LocalPath]] = []
        self._same: list[tuple[wire.FileRow, LocalPath]] = []
        self._cut: list[wire.FileRow] = []  # cancelled: a thread may still be giving one of these its name
        self._manifest: Manifest | None = None
        self._has_changed = False  # what the manifest has to say at the end
        self._saved = saved
        self._ahead = self._download_ahead(())

    def _download_ahead(self, presence: Sequence[Presence]) -> DownloadAhead:
        return DownloadAhead(
            self.rows,
            self._destination,
            strip=self._prefix,
            force=self._may_replace,
            by_digest=self._by_digest,
            saved=self._saved,
            presence=presence,
            in_thread=self._in_thread,
        )

    def _is_taken(self, path: str) -> bool:
        return path.startswith(self._prefix) and self._takes.takes(path.removeprefix(self._prefix))

    def _may_replace(self, row: wire.FileRow) -> bool:
        return self._force or row.name in self._ours

    async def begin(self, *, read_only: bool = False) -> int:
        """Find out what is to be done, and return how many files are the same; with `read_only` nothing may be done.

        Raises `DownloadBusy`, `LocalFileError`.
        """
        open_manifest = partial(Manifest, self._destination, read_only=read_only)
        self._manifest = await acquire(self._in_thread, Manifest.close, open_manifest)
        count = len(self.rows)
        await self._look(read_only=read_only)
        return count - len(self.rows)

    async def _look(self, *, read_only: bool) -> None:
        """Leave out the files that are the same, and find out which of the others are here as they were fetched."""
        rows, self.rows = self.rows, []
        presence: list[Presence] = []
        for start in range(0, len(rows), self.SLICE):
            some = rows[start : start + self.SLICE]
            found, ours = await self._told(partial(self._look_at, is_planned=not read_only), some)
            self._ours |= ours
            differ = [(row, there) for row, there in zip(some, found, strict=True) if self._is_to_do(there)]
            self.rows += [row for row, _ in differ]
            presence += [there for _, there in differ]
            self._has_changed = bool(self.rows) and not read_only
        self._ahead = self._download_ahead(presence)

    def _look_at(
        self, manifest: Manifest, rows: Sequence[wire.FileRow], *, is_planned: bool
    ) -> tuple[list[Presence], set[str]]:
        """Look for some files, in a thread; return what is there, and which were fetched and are unchanged.

        With `is_planned`, those that will be fetched are noted before any of them is.
        """
        places = [self._place(row.name) for row in rows]
        found = look_for([(place, Source(row.size, row.mtime)) for row, place in zip(rows, places, strict=True)])
        differ = [each for each in zip(rows, places, found, strict=True) if self._is_to_do(each[2])]
        ours = manifest.unchanged((row.name, place) for row, place, there in differ if there is not Presence.ABSENT)
        if is_planned:
            manifest.plan(
                row
                for row, place, there in differ
                if there is Presence.ABSENT or row.name in ours or is_place_free(place)
            )
        return found, ours

    def _is_to_do(self, there: Presence) -> bool:
        return self._by_digest or there is not Presence.SAME

    def gone(self) -> list[str]:
        """Return the paths on the server of what earlier mirrors have fetched, and the server has no more."""
        entries = () if self._manifest is None else self._manifest.entries
        return sorted(path for path in entries if path not in self._listed and self._is_taken(path))

    async def remove_gone(self, removed: Callable[[str, Removal], None]) -> None:
        """Remove what is `gone`, and call `removed` for each file with what became of it. Raises `LocalFileError`."""
        gone = self.gone()
        for start in range(0, len(gone), self.SLICE):
            paths = gone[start : start + self.SLICE]
            results = await self._told(self._remove, paths)
            for path, result in zip(paths, results, strict=True):
                removed(path, result)
        self._has_changed = self._has_changed or bool(gone)

    def _remove(self, manifest: Manifest, paths: list[str]) -> list[Removal]:
        return [manifest.remove(path, self._place(path)) for path in paths]

    def _place(self, path: str) -> LocalPath:
        return local_place(self._destination, path.removeprefix(self._prefix))

    # --- as a `DownloadAhead` ---

    async def download(
        self,
        client: ChatFileClient,
        number: int,
        *,
        progress: Callable[[int], None] = lambda _: None,
        stage: Callable[[Stage], None] = lambda _: None,
    ) -> Download:
        """Download the file of this number of `rows`, and note that. See `DownloadAhead.download`."""
        try:
            download = await self._ahead.download(client, number, progress=progress, stage=stage)
        except CancelledError:
            self._cut.append(self.rows[number])
            raise
        if not download.already:
            self._fetched.append((download.name, self._place(download.name)))
        elif download.verified:
            self._same.append((self.rows[number], self._place(download.name)))
        if len(self._fetched) + len(self._same) >= self.SLICE:
            await self._note()
        return download

    def has_result(self, number: int) -> bool:
        """See `DownloadAhead.has_result`."""
        return self._ahead.has_result(number)

    def close(self) -> None:
        """Do nothing yet: `finish` drops what is still to come, and notes what came ahead."""

    # --- the end ---

    async def finish(self) -> None:
        """Note what was fetched, and let other mirrors use the folder. Raises `LocalFileError`."""
        if self._manifest is None:
            return
        try:
            saved = await self._ahead.settle()
            self._fetched += [(download.name, self._place(download.name)) for download in saved]
            await self._note()
            if self._has_changed:
                await self._told(Manifest.rewrite, self._cut)
        finally:
            manifest, self._manifest = self._manifest, None
            run_unawaited(self._in_thread, manifest.close)

    async def _note(self) -> None:
        """Note what came since the last time; where that is cancelled or fails, it is noted the next time."""
        fetched, same = list(self._fetched), list(self._same)
        if same:
            await self._in_thread(_set_times, [(place, row.mtime) for row, place in same])
        noted = [*fetched, *((row.name, place) for row, place in same if row.name in self._ours)]
        if noted:
            await self._told(Manifest.add, noted)
            self._has_changed = True
        del self._fetched[: len(fetched)], self._same[: len(same)]

    async def _told(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Make a call about the manifest in a thread. Raises `LocalFileError`."""
        try:
            return await self._in_thread(call, self._manifest, *arguments)
        except OSError as error:
            raise errors.LocalFileError(path=self._destination, why=errors.reason(error)) from error


def _set_times(files: list[tuple[LocalPath, int]]) -> None:
    """Set the times of files that turned out to be the same: else their digests are compared again the next time."""
    for place, mtime in files:
        try:
            set_named_time(place, mtime)
        except OSError:
            continue  # it was removed meanwhile, or this file system can't store that time
