"""A seam that records all calls which change the disk, for the model of what lost power leaves of them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.lost_power import ROOT, Call, Disk, Entries, Found, Node, Picture, Sync, Time, Truncate, Write
from tests.support.torture import Seam

Make = Callable[[], Any]
_UNNAMED = getattr(os, "O_TMPFILE", 0)


class Recorder(Seam):
    """Records what changes below a folder, the root of the model's disk, from `start` to `stop`.

    At all other times it saves the time of syncing: nobody takes the power away.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.before = Disk()
        self.calls: list[Call] = []
        self._root = root
        self._nodes: dict[tuple[int, int], Node] = {}
        self._count = 0
        self._is_recording = False

    def start(self) -> None:
        self._is_recording, self._count = True, 0
        self.before, self.calls = Disk(), []
        self._nodes = {_identity(os.stat(self._root)): ROOT}
        for path in sorted(self._root.rglob("*")):
            self._add(path)

    def _add(self, path: Path) -> None:
        """A file or folder that is there from the beginning."""
        status = path.stat()
        node = self._nodes.get(_identity(status)) or self._new(status)
        self.before.make(Entries(self._nodes[_identity(path.parent.stat())], ((path.name, node),)))
        if not node.is_folder:
            self.before.files[node] = path.read_bytes(), int(status.st_mtime)

    def stop(self) -> None:
        """Record no more. What was recorded must be all that was done."""
        self._is_recording = False
        disk = self.before.copy()
        for call in self.calls:
            disk.make(call)
        expected, found = disk.picture(), read_disk(self._root)
        assert _shape(expected) == _shape(found), "a call was not recorded"

    # --- each call ---

    def call(self, name: str, really: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        def make() -> Any:
            return super(Recorder, self).call(name, really, *arguments, **named)

        if not self._is_recording:
            return None if name == "fsync" else make()
        record = getattr(self, f"_{name}", None)
        return make() if record is None else record(make, *arguments, **named)

    def _open(self, make: Make, path: Any, flags: int, *_: int, dir_fd: int | None = None) -> Any:
        is_there = os.path.lexists(_at(path, dir_fd))
        descriptor = make()
        if _UNNAMED and flags & _UNNAMED == _UNNAMED:
            self._new(os.fstat(descriptor))
        elif not is_there:
            self._enter(path, dir_fd, self._new(os.fstat(descriptor)))
        return descriptor

    def _mkdir(self, make: Make, path: Any, *_: int, dir_fd: int | None = None) -> None:
        make()
        self._enter(path, dir_fd, self._new(os.stat(path, dir_fd=dir_fd)))

    def _makedirs(self, make: Make, path: str, **_: Any) -> None:
        missing = [each for each in (Path(path), *Path(path).parents) if not each.exists()]
        make()
        for each in reversed(missing):
            self._enter(str(each), None, self._new(each.stat()))

    def _link(self, make: Make, _: Any, new: str, *, dst_dir_fd: int, **__: Any) -> None:
        make()
        self._enter(new, dst_dir_fd, self._node(os.stat(new, dir_fd=dst_dir_fd)))

    def _rename(self, make: Make, old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        make()
        node = self._node(os.stat(new, dir_fd=dst_dir_fd))
        assert _identity(os.fstat(src_dir_fd)) == _identity(os.fstat(dst_dir_fd))
        self.calls.append(Entries(self._of(dst_dir_fd), ((old, None), (new, node))))

    _replace = _rename

    def _unlink(self, make: Make, path: Any, *, dir_fd: int) -> None:
        make()
        self._enter(path, dir_fd, None)

    _rmdir = _unlink

    def _write(self, make: Make, descriptor: int, data: bytes | memoryview) -> int:
        count: int = make()
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        self.calls.append(Write(self._of(descriptor), end - count, bytes(data[:count])))
        return count

    def _pwrite(self, make: Make, descriptor: int, data: bytes | memoryview, offset: int) -> int:
        count: int = make()
        self.calls.append(Write(self._of(descriptor), offset, bytes(data[:count])))
        return count

    def _splice(self, make: Make, _: int, target: int, *__: int) -> int:
        count: int = make()
        if stat.S_ISREG(os.fstat(target).st_mode):
            start = os.lseek(target, 0, os.SEEK_CUR) - count
            self.calls.append(Write(self._of(target), start, os.pread(target, count, start)))
        return count

    def _ftruncate(self, make: Make, descriptor: int, size: int) -> None:
        make()
        self.calls.append(Truncate(self._of(descriptor), size))

    def _utime(self, make: Make, file: Any, times: tuple[int, int], *, dir_fd: int | None = None, **_: Any) -> None:
        make()
        self.calls.append(Time(self._node(os.stat(file, dir_fd=dir_fd)), times[1]))

    def _fsync(self, make: Make, descriptor: int) -> None:
        make()
        self.calls.append(Sync(self._of(descriptor)))

    # --- nodes ---

    def _new(self, status: os.stat_result) -> Node:
        """The node of what was just made: the system may have used its number before."""
        self._count += 1
        node = self._nodes[_identity(status)] = Node(self._count, stat.S_ISDIR(status.st_mode))
        return node

    def _node(self, status: os.stat_result) -> Node:
        return self._nodes[_identity(status)]

    def _of(self, descriptor: int) -> Node:
        return self._node(os.fstat(descriptor))

    def _enter(self, path: Any, dir_fd: int | None, node: Node | None) -> None:
        parent, name = os.path.split(_at(path, dir_fd))
        self.calls.append(Entries(self._node(os.stat(parent)), ((name, node),)))


def _at(path: Any, dir_fd: int | None) -> str:
    start = "" if dir_fd is None else f"/proc/self/fd/{dir_fd}"
    return os.path.join(start, os.fsdecode(path))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


# --- real folders ---


def read_disk(root: Path) -> Picture:
    """What is below a real folder."""
    found: Picture = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        is_folder = stat.S_ISDIR(status.st_mode)
        whole = None if is_folder else Found(path.read_bytes(), int(status.st_mtime), Node(status.st_ino))
        found[str(path.relative_to(root))] = whole
    return found


def _shape(picture: Picture) -> dict[str, object]:
    """What is the same of all pictures of one disk: the names of a file are said instead of its number."""
    names: dict[Node, list[str]] = {}
    for path, found in picture.items():
        if found is not None:
            names.setdefault(found.node, []).append(path)
    return {path: found and (found.content, sorted(names[found.node])) for path, found in picture.items()}


def lay_out(picture: Picture, root: Path) -> None:
    """Let a real folder have what is in the picture, and nothing else."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    first: dict[Node, Path] = {}
    for path, found in sorted(picture.items()):
        place = root / path
        if found is None:
            place.mkdir()
        elif found.node in first:
            place.hardlink_to(first[found.node])
        else:
            place.write_bytes(found.content)
            first[found.node] = place
            if found.mtime is not None:
                os.utime(place, (found.mtime, found.mtime))
