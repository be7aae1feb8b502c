"""`get --sha256` and `get --sums`: digests from elsewhere; files that are here and have them need no server."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace

from chatfile import disk, errors, wire
from chatfile.cli.arguments import ClientConfig
from chatfile.cli.commands import GetFiles
from chatfile.cli.lines import split_words
from chatfile.cli.patterns import is_pattern
from chatfile.cli.view import View
from chatfile.downloads import Download, parse_sums
from chatfile.downloads.target import checked, local_place
from chatfile.partfile import PresentFile
from chatfile.paths import LocalPath

_HEX = re.compile("[0-9a-fA-F]{64}")


async def read_digests(command: GetFiles, config: ClientConfig, view: View, folder: str = "") -> GetFiles:
    """Return the command with the digests that it tells of, and without the files that are here and have them.

    Those are shown. A list is looked for in `folder`. Raises a `ChatFileError`.
    """
    if command.digests is not None or (command.sha256 is None and command.sums is None):
        return command
    names = tuple(split_words(command.wanted)) if isinstance(command.wanted, str) else command.wanted
    digests = await _digests(command, names, folder)
    names = names or tuple(digests)
    left: list[str] = []
    for name in names:
        found = await disk.in_thread(_find, _place(command, config, name), name, digests.get(name))
        if found is None:
            left.append(name)
        else:
            view.download(found, 0.0)
    return replace(command, wanted=tuple(left), digests=digests)


async def _digests(command: GetFiles, names: tuple[str, ...], folder: str) -> Mapping[str, str]:
    if command.sums is not None:
        path = os.path.join(folder, os.path.expanduser(command.sums))
        digests: Mapping[str, str] = await disk.in_thread(_read_list, path)
        unlisted = next((name for name in names if name not in digests and not is_pattern(name)), None)
        if unlisted is not None:
            raise errors.NotInSums(name=wire.printable(unlisted), list=wire.printable(command.sums))
        return digests
    if not _HEX.fullmatch(command.sha256 or ""):
        raise errors.BadDigest(text=wire.printable(command.sha256 or ""))
    if len(names) != 1:
        raise errors.DigestForSeveral
    return {names[0]: (command.sha256 or "").lower()}


def _read_list(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise errors.LocalFileError(f'"{wire.printable(path)}" can\'t be read: {errors.reason(error)}.') from error
    return parse_sums(content, path)


def _place(command: GetFiles, config: ClientConfig, name: str) -> LocalPath:
    if command.output is not None:
        folder, name = os.path.split(command.output)
        return LocalPath(folder or ".", (name,))
    return checked(local_place(config.downloads, name))


def _find(place: LocalPath, name: str, sha256: str | None) -> Download | None:
    """Return the file that is there if it has that digest, in a thread; None otherwise."""
    if sha256 is None:
        return None
    try:
        present = PresentFile(place)
    except (OSError, ValueError):
        return None
    try:
        reached = -1
        while (further := present.hash_slice(max(reached, 0))) != reached:
            reached = further
        is_same = present.hexdigest() == sha256
    except OSError:
        return None
    finally:
        present.close()
    return Download(name, present.path, present.size, sha256, True, resumed_from=0, already=True) if is_same else None
