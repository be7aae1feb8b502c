"""What earlier downloads of a file have left, when it is of no use any more."""

from __future__ import annotations

import os

from chatfile.fdio import close_quietly
from chatfile.partfile.names import SAFELY, leads_to, names_beside, remove
from chatfile.partfile.opening import check_ours, lock


def has_leftovers(folder: int, name: str) -> bool:
    """Tell whether the open `folder` has a part file of `name`, or a note."""
    for each in names_beside(folder, name):
        try:
            os.stat(each, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        return True
    return False


def drop_leftovers(folder: str, name: str) -> None:
    """Remove the part file of `name`, which is in `folder` itself by now, and its note; not those of a client at work.

    What can't be removed stays: it does no harm.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return  # then nothing can be removed either
    try:
        _drop(descriptor, *names_beside(descriptor, name))
    except OSError:
        pass  # another client is at work, it is another user's, or it may not be removed
    finally:
        close_quietly(descriptor)


def _drop(folder: int, part: str, note: str) -> None:
    try:
        descriptor = os.open(part, os.O_RDWR | SAFELY, dir_fd=folder)
    except FileNotFoundError:
        remove(folder, note)
        return
    try:
        check_ours(folder, os.fstat(descriptor))
        if lock(descriptor, tries=1) and leads_to(folder, part, descriptor):
            remove(folder, part)
            remove(folder, note)
    finally:
        close_quietly(descriptor)
