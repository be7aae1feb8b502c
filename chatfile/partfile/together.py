"""Small files, several in one call: what is there of them, and their saving, each whole before it has a name."""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice

from chatfile import errors
from chatfile.fdio import close_quietly, write_all
from chatfile.partfile.names import is_done, names_beside
from chatfile.partfile.part import PartFile, Source
from chatfile.partfile.present import PresentFile
from chatfile.partfile.saving import set_time, sync
from chatfile.partfile.spelling import has_other_spelling, is_unfinished
from chatfile.paths import LocalPath

_UNNAMED = getattr(os, "O_TMPFILE", 0)
"""The flag for a file that has no name until it is given one (open(2)); 0 where the system has none such."""
_SCANNED = 16
"""A folder is read where it has at most so many times the names that are looked for."""


class Presence(enum.Enum):
    """What a folder has of a file."""

    ABSENT = "nothing"
    SAME = "a file of that name, size and time, and nothing that an earlier download has left"
    SAME_SIZE = "the same, but of another time"
    OTHER = "something else: another file, a part file, or what can't be looked at"


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file in memory, and where it is to be; mtime in seconds since 1970."""

    target: LocalPath
    mtime: int
    content: bytes


def look_for(files: Sequence[tuple[LocalPath, Source]]) -> list[Presence]:
    """Tell for each of the `files`, by path, size and time, what of it is there. It blocks, so it is for threads."""
    found: list[Presence] = []
    for _, some in groupby(files, lambda file: file[0].folder):
        found += _look_in_folder(list(some))
    return found


def _look_in_folder(files: list[tuple[LocalPath, Source]]) -> list[Presence]:
    try:
        with _opened(files[0][0]) as directory:
            entries = _scan(directory, _SCANNED * len(files))
            if entries is None:
                return [_look_for(directory, path.name, source) for path, source in files]
            return [_look_among(entries, path.name, source) for path, source in files]
    except FileNotFoundError:
        return [Presence.ABSENT] * len(files)
    except (OSError, ValueError):
        return [Presence.OTHER] * len(files)


def _scan(directory: int, most: int) -> dict[str, os.DirEntry[str]] | None:
    """Return what is in a folder by its names; None where that is more, or an earlier download has left something.

    To read a folder is faster than to ask for each name; and a name that is read is spelled exactly so.
    """
    with os.scandir(directory) as found:
        entries = {entry.name: entry for entry in islice(found, most + 1)}
    return None if len(entries) > most or any(map(is_unfinished, entries)) else entries


def _look_among(entries: dict[str, os.DirEntry[str]], name: str, source: Source) -> Presence:
    entry = entries.get(name)
    try:
        return Presence.ABSENT if entry is None else _compare(entry.stat(follow_symlinks=False), source)
    except OSError:
        return Presence.OTHER


def _compare(status: os.stat_result, source: Source) -> Presence:
    if not stat.S_ISREG(status.st_mode) or status.st_size != source.size:
        return Presence.OTHER
    return Presence.SAME if status.st_mtime_ns // 1_000_000_000 == source.mtime else Presence.SAME_SIZE


def _look_for(directory: int, name: str, source: Source) -> Presence:
    try:
        if any(_exists(directory, each) for each in names_beside(directory, name)):
            return Presence.OTHER
        presence = _compare(os.stat(name, dir_fd=directory, follow_symlinks=False), source)
        return Presence.OTHER if has_other_spelling(directory, name) else presence
    except FileNotFoundError:
        return Presence.ABSENT
    except (OSError, ValueError):
        return Presence.OTHER


def _exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def have_digests(files: Sequence[tuple[LocalPath, str]]) -> list[bool]:
    """Tell for each small file that is there whether it has that SHA-256. It blocks, so it is for threads."""
    return [_has_digest(path, sha256) for path, sha256 in files]


def _has_digest(path: LocalPath, sha256: str) -> bool:
    try:
        present = PresentFile(path)
    except OSError:
        return False
    try:
        return present.hash_slice(0) == present.size and present.hexdigest() == sha256
    except OSError:
        return False
    finally:
        present.close()


def save_together(files: Sequence[WholeFile], *, create_folder: bool) -> list[bool]:
    """Save `files` under paths that are free; tell for each whether it was saved.

    All of one folder are synced before the first one has its name. Folders are made with `create_folder`. It blocks,
    so it is for threads.
    """
    saved: list[bool] = []
    for _, some in groupby(files, lambda file: file.target.folder):
        saved += _save_in_folder(list(some), create_folder)
    return saved


def _save_in_folder(files: list[WholeFile], create_folder: bool) -> list[bool]:
    try:
        with _opened(files[0].target, create=create_folder) as directory:
            named = _save_unnamed(directory, files)
    except (OSError, ValueError):
        return [False] * len(files)
    return [is_saved or _is_saved_alone(file) for file, is_saved in zip(files, named, strict=True)]


def _save_unnamed(directory: int, files: list[WholeFile]) -> list[bool]:
    descriptors = [_write_unnamed(directory, file) for file in files]
    try:
        synced = [descriptor is not None and _is_synced(descriptor) for descriptor in descriptors]
        return [
            descriptor is not None and is_synced and _is_named(directory, descriptor, file.target.name)
            for file, descriptor, is_synced in zip(files, descriptors, synced, strict=True)
        ]
    finally:
        for descriptor in descriptors:
            if descriptor is not None:
                close_quietly(descriptor)


@contextmanager
def _opened(path: LocalPath, *, create: bool = False) -> Iterator[int]:
    directory = path.open_folder(create=create)
    try:
        yield directory
    finally:
        close_quietly(directory)


def _write_unnamed(directory: int, file: WholeFile) -> int | None:
    """Return the descriptor of a file that nobody else can open; None where there can be none."""
    if not _UNNAMED:
        return None
    try:
        descriptor = os.open(".", _UNNAMED | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=directory)
    except OSError:
        return None
    try:
        write_all(descriptor, file.content)
    except OSError:
        close_quietly(descriptor)
        return None
    set_time(descriptor, file.mtime)
    return descriptor


def _is_synced(descriptor: int) -> bool:
    try:
        sync(descriptor)
    except OSError:
        return False
    return True


def _is_named(directory: int, descriptor: int, name: str) -> bool:
    """Give an open file its name, which is free: link(2) replaces nothing. Return whether that was done."""
    try:
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)
    except OSError:
        return is_done(directory, name, descriptor)
    except ValueError:
        return False
    return True


def _is_saved_alone(file: WholeFile) -> bool:
    """Save a file by way of a part file, as a large one is: not all file systems have files without names."""
    try:
        with _begun(file, len(file.content), create_folder=False) as part:
            part.finish(file.mtime, verified=True)
    except (errors.ChatFileError, OSError, ValueError):
        return False
    return True


def keep_begun(file: WholeFile, size: int, *, create_folder: bool) -> None:
    """Keep the first bytes of a file of `size` bytes in its part file, for the next download.

    It blocks, so it is for threads. Raises `LocalFileError`, or OSError.
    """
    with _begun(file, size, create_folder=create_folder):
        pass


@contextmanager
def _begun(file: WholeFile, size: int, *, create_folder: bool) -> Iterator[PartFile]:
    part = PartFile(file.target, force=False, create_folder=create_folder)
    try:
        part.begin(Source(size, file.mtime))
        write_all(part.descriptor, file.content)
        yield part
    finally:
        part.close()
