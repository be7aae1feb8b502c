"""Subfolders: what the tree shows can be fetched, and nothing else, however folders are made, moved or replaced."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatfile import errors
from chatfile.repository import Entry, Repository
from chatfile.wire import MAX_TREE_ROWS, FileRow, TreeOrder, is_servable_path
from tests.support.processes import PATIENCE, ServerProcess
from tests.support.trees import as_another_user, plant

INSIDE, SECRET = b"inside", b"secret, and longer than what is inside"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with others in it, next to one that is none of the server's business."""
    for path in ("served/top", "served/a/one", "served/a/b/two", "outside/one", "outside/b/two"):
        plant(tmp_path, path, SECRET if path.startswith("outside") else INSIDE)
    return tmp_path / "served"


@pytest.fixture
def repository(folder: Path) -> Repository:
    return served(folder)


def served(folder: Path) -> Repository:
    return Repository(str(folder), is_recursive=True)


def tree(repository: Repository, folder: str = "", most: int = MAX_TREE_ROWS) -> list[str]:
    return [entry.name for entry in repository.tree(folder, most=most)]


def read(repository: Repository, path: str) -> bytes:
    opened = repository.open(path)
    try:
        return os.read(opened.descriptor, 10_000)
    finally:
        opened.close()


def refused(repository: Repository, path: str) -> None:
    with pytest.raises(errors.NoSuchFile):
        repository.open(path)


def test_the_tree_has_whole_paths_and_each_opens_as_its_row_says(repository: Repository) -> None:
    assert tree(repository) == ["a/b/two", "a/one", "top"]
    assert tree(repository, "a") == ["a/b/two", "a/one"]
    assert tree(repository, "a/b") == ["a/b/two"]
    for entry in repository.tree("", most=3):
        opened = repository.open(entry.name)
        assert Entry(opened.size, opened.mtime, opened.name) == entry
        opened.close()


def test_the_listing_stays_flat(repository: Repository) -> None:
    assert [entry.name for entry in repository.listing()] == ["top"]


def test_without_subfolders_a_path_is_no_name(folder: Path) -> None:
    with pytest.raises(errors.NoSuchFile, match='"list" shows'):
        Repository(str(folder)).open("a/one")


@pytest.mark.parametrize("path", ["nowhere", "top", "a/one", "..", "../outside", "/", "a/", "a//b", ".", "a/..", ".h"])
def test_what_is_no_folder_has_no_tree(repository: Repository, folder: Path, path: str) -> None:
    plant(folder, ".h/x")
    with pytest.raises(errors.NoSuchFile, match="There is no folder"):
        tree(repository, path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "a",
            "a/b",
            "a/b/",
            "a/",
            "/a/one",
            "a//one",
            "a/./one",
            "a/../top",
            "../outside/one",
            "a/b/../../../outside/one",
        ),
        *("a/one/", "top/x", "a/nowhere", "nowhere/one", "A/one", "a/.h", ".h/x", "a\\one", "a/one\0", "a%2fone", "/"),
    ],
)
def test_what_the_tree_does_not_show_is_not_there(repository: Repository, folder: Path, path: str) -> None:
    plant(folder, ".h/x", SECRET)
    plant(folder, "a/.h", SECRET)
    refused(repository, path)


def _bind(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


ODD: dict[str, Callable[[Path], object]] = {
    "link within": lambda path: path.symlink_to("b"),
    "link out": lambda path: path.symlink_to("../../outside"),
    "link to its own folder": lambda path: path.symlink_to("."),
    "link above": lambda path: path.symlink_to(".."),
    "absolute link": lambda path: path.symlink_to(path.parent / "b"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a file": lambda path: path.symlink_to("one"),
    "FIFO": os.mkfifo,
    "socket": _bind,
    "empty folder": Path.mkdir,
}


@pytest.mark.parametrize("put", ODD.values(), ids=ODD.keys())
def test_what_is_neither_file_nor_folder_is_neither_shown_nor_gone_through(
    repository: Repository, folder: Path, put: Callable[[Path], object]
) -> None:
    put(folder / "a/odd")
    assert tree(repository) == ["a/b/two", "a/one", "top"]
    for path in ("a/odd", "a/odd/one", "a/odd/two", "a/odd/b/two", "a/odd/a/one"):
        refused(repository, path)


def test_a_device_is_neither() -> None:
    repository = served(Path("/dev"))
    assert not {"null", "zero"} & set(tree(repository))
    refused(repository, "null/x")


NAMES = ["a", "b", "a-", "a0", "a.b", ".h", "é", "\uff61", "\U0001d4b3", " ", "a\tb"]
branches = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(branches, max_size=12), st.lists(branches, max_size=3), branches)
def test_the_tree_is_what_a_walk_finds(files: list[str], links: list[str], below: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in files:
            with suppress(OSError):  # a file here, a folder there: the first is what it is
                plant(root, path, path.encode())
        for path in links:
            with suppress(OSError):
                (root / path).symlink_to(root)
        found = sorted(path for path in walked(root) if is_servable_path(path))
        assert tree(served(root)) == found
        assert all(read(served(root), path) == path.encode() for path in found)
        inside = [path for path in found if path.startswith(f"{below}/")]
        if is_servable_path(below) and (root / below).is_dir() and not is_through_link(root, below):
            assert tree(served(root), below) == inside
        else:
            with pytest.raises(errors.NoSuchFile):
                tree(served(root), below)


def walked(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                yield str(path.relative_to(root))


def is_through_link(root: Path, path: str) -> bool:
    return any(each.is_symlink() for each in [root / path, *(root / path).parents] if each.is_relative_to(root))


def test_a_path_has_up_to_16_names(tmp_path: Path) -> None:
    deepest = "/".join("abcdefghijklmnop")
    for path in (deepest, f"{deepest[:-1]}folder/q", f"{deepest[:-1]}folder/r/s"):
        plant(tmp_path, path, INSIDE)
    assert tree(served(tmp_path)) == [deepest] == tree(served(tmp_path), deepest[:-2])
    assert tree(served(tmp_path), f"{deepest[:-1]}folder") == []
    assert read(served(tmp_path), deepest) == INSIDE
    refused(served(tmp_path), f"{deepest[:-1]}folder/q")


def test_a_path_has_up_to_4000_bytes_and_a_name_255(tmp_path: Path) -> None:
    stem = "/".join(["x" * 249] * 15)
    longest, wide = f"{stem}/{'y' * 250}", "/".join(["é" * 127 + "x"] * 15 + ["z" * 160])
    plant(tmp_path, longest, INSIDE)
    plant(tmp_path, f"{stem}/{'y' * 251}", SECRET)
    plant(tmp_path, wide, INSIDE)
    assert (len(longest), len(wide.encode())) == (4000, 4000)
    assert tree(served(tmp_path)) == [longest, wide]
    assert read(served(tmp_path), longest) == read(served(tmp_path), wide) == INSIDE
    refused(served(tmp_path), f"{stem}/{'y' * 251}")
    refused(served(tmp_path), "x" * 256 + "/y")


def test_folders_deeper_than_any_path_are_not_gone_down_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "a/" * 400 + "b")
    scanned: list[object] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: scanned.append(folder) or scan(folder))
    assert (tree(served(tmp_path)), len(scanned)) == ([], 17)


def test_a_name_that_is_a_file_here_and_a_folder_there(folder: Path, repository: Repository) -> None:
    plant(folder, "b/a", INSIDE)
    plant(folder, "a/top/a", INSIDE)
    assert tree(repository) == ["a/b/two", "a/one", "a/top/a", "b/a", "top"]
    (folder / "a").rename(folder / "c")
    (folder / "a").write_bytes(INSIDE)
    assert tree(repository) == ["a", "b/a", "c/b/two", "c/one", "c/top/a", "top"]
    assert read(repository, "a") == INSIDE
    refused(repository, "a/one")


# --- bounds ---


def test_more_files_than_so_many_are_a_matter_of_usage(repository: Repository, folder: Path) -> None:
    for number in range(5):
        plant(folder, f"many/{number}")
    for most in (0, 1, 7):
        with pytest.raises(errors.Usage, match="subfolder"):
            tree(repository, most=most)
    assert len(tree(repository, most=8)) == 8
    assert len(tree(repository, "many", most=5)) == 5


def test_more_folders_than_so_many_are_one_as_well(repository: Repository, folder: Path) -> None:
    for number in range(6):
        (folder / "many" / str(number)).mkdir(parents=True)
    with pytest.raises(errors.Usage):
        tree(repository, most=9)  # the one that is served, a, a/b, many, and six
    assert len(tree(repository, most=10)) == 3


def test_no_more_is_read_than_decides_that(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[str] = []
    for number in range(50):
        plant(folder, f"a/{number}")
    monkeypatch.setattr("chatfile.repository._pack", lambda entry: scanned.append(entry.name) or entry.name)
    with pytest.raises(errors.Usage):
        tree(served(folder), most=10)
    assert len(scanned) == 11


def test_it_stops_where_nobody_waits_any_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    open_folder = os.open
    monkeypatch.setattr(os, "open", lambda *some, **more: opened.append(some) or open_folder(*some, **more))
    assert list(served(folder).tree("", most=100, is_stopped=lambda: True)) == []
    assert opened == []


# --- what may not be read ---


def test_a_folder_that_may_not_be_read_is_left_out_and_unavailable_by_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(folder, "a/closed/inner/x", SECRET)
    plant(folder, "a/blind/x", SECRET)
    monkeypatch.chdir(folder)  # for nobody else may come here
    (folder / "a/closed").chmod(0)
    (folder / "a/blind").chmod(0o444)
    with as_another_user(folder):
        repository = served(Path())
        assert tree(repository) == ["a/b/two", "a/one", "top"]
        for path in ("a/closed", "a/closed/inner", "a/blind"):
            with pytest.raises(errors.Unavailable, match=f'^"{path}/" can\'t be read now: permission denied'):
                tree(repository, path)
        for path in ("a/closed/inner/x", "a/blind/x"):
            with pytest.raises(errors.Unavailable):
                repository.open(path)
    (folder / "a/closed").chmod(0o700)
    (folder / "a/blind").chmod(0o700)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM])
def test_a_folder_that_fails_makes_the_whole_tree_unavailable(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A tree that silently lacked a part would have a mirror remove what is still there."""
    really = os.open

    def fail(name: object, *rest: int, **more: int) -> int:
        if name == b"b":
            raise OSError(number, os.strerror(number), "/secret/path")
        return really(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", fail)
    for path in ("", "a", "a/b"):
        with pytest.raises(errors.Unavailable, match=r'^"a/b/" can\'t be read now') as refusal:
            tree(repository, path)
        assert "secret" not in str(refusal.value)
    with pytest.raises(errors.Unavailable, match=r'^"a/b/two" can'):
        repository.open("a/b/two")


def test_without_descriptors_it_is_unavailable_at_every_step_and_none_is_left_open(repository: Repository) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open("/", os.O_RDONLY)
    os.close(spare)
    seen = set()
    for more in range(6):
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare + more, limits[1]))
        for ask in (lambda: tree(repository), lambda: read(repository, "a/b/two")):
            try:
                seen.add(type(ask()))
            except errors.Unavailable as refusal:
                seen.add(type(refusal))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (spare + more, limits[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert seen == {errors.Unavailable, list, bytes}
    assert os.open("/", os.O_RDONLY) == spare
    os.close(spare)


# --- what changes under its hands ---


def away(path: Path) -> None:
    path.rename(path.parent.parent / "away")


def replaced_by(put: Callable[[Path], object]) -> Callable[[Path], object]:
    def act(path: Path) -> None:
        away(path)
        put(path)

    return act


CHANGES: dict[str, Callable[[Path], object]] = {
    "removed": shutil.rmtree,
    "moved away": away,
    "made a link out": replaced_by(lambda path: path.symlink_to("../outside")),
    "made a link to what was moved": replaced_by(lambda path: path.symlink_to("../away")),
    "made a file": replaced_by(Path.touch),
    "made a FIFO": replaced_by(os.mkfifo),
}


@contextmanager
def before_the_call(patch: pytest.MonkeyPatch, call: str, at: int, act: Callable[[], object]) -> Iterator[None]:
    """Before the call of a name for the time `at`, `act`."""
    really, left = getattr(os, call), at

    def changed(*some: object, **more: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            act()
        return really(*some, **more)

    with patch.context() as context:
        context.setattr(os, call, changed)
        yield
    assert left <= 0, "it was never called"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(
    ("call", "at"), [("open", 2), ("open", 3), ("fstat", 1), ("fstat", 3), ("stat", 1), ("open", 4)]
)
def test_a_folder_that_changes_between_two_steps_lets_nothing_else_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], call: str, at: int
) -> None:
    with before_the_call(monkeypatch, call, at, lambda: change(folder / "a")):
        try:
            assert read(served(folder), "a/b/two") == INSIDE
        except errors.NoSuchFile:
            pass


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(
    ("call", "at"), [("scandir", 1), ("scandir", 2), ("open", 3), ("open", 4), ("fstat", 1), ("fstat", 5)]
)
def test_a_tree_that_changes_between_two_steps_shows_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], call: str, at: int
) -> None:
    with before_the_call(monkeypatch, call, at, lambda: change(folder / "a")):
        entries = list(served(folder).tree("", most=100))
    shown = {entry.name for entry in entries}
    assert {"top"} <= shown <= {"top", "a", "a/one", "a/b/two"}
    assert all(entry.size in (0, len(INSIDE)) for entry in entries)


def test_what_shows_up_twice_while_its_folder_changes_is_shown_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As readdir(3) allows: a name that was seen is removed, and comes again behind those that were not."""
    scan = os.scandir

    def twice(where: int) -> Iterator[os.DirEntry[str]]:
        with scan(where) as found:
            entries = list(found)
        yield from entries
        if any(entry.name == "top" for entry in entries):
            for name, again in (("top", "top/x"), ("plain", "plain")):
                (folder / name).unlink(missing_ok=True)
                plant(folder, again, INSIDE)
            with scan(where) as found:
                yield from list(found)

    @contextmanager
    def scanned(where: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        yield twice(where)

    plant(folder, "plain", b"")
    monkeypatch.setattr(os, "scandir", scanned)
    entries = list(served(folder).tree("", most=100))
    order = TreeOrder("")
    for entry in entries:
        order.check(FileRow(entry.size, entry.mtime, entry.name))
    assert [entry.name for entry in entries] == ["a/b/two", "a/one", "plain", "top/x"]
    (folder / "top/x").rename(folder / "x")
    (folder / "top").rmdir()
    plant(folder, "top", INSIDE)
    assert [entry.name for entry in served(folder).listing()] == ["plain", "top", "x"]


class Moving(threading.Thread):
    """Moves files and folders about below a folder, makes and removes some, until it is told to stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.stopped = threading.Event()
        self._folder = folder
        self._random = random.Random(0)

    def run(self) -> None:
        places = [folder + name for folder in ("", "a/", "b/", "a/b/", "b/a/") for name in "abcd"]
        while not self.stopped.is_set():
            one, other = (self._folder / place for place in self._random.sample(places, 2))
            act = self._random.choice([partial(one.rename, other), one.mkdir, one.rmdir, one.unlink, one.touch])
            with suppress(OSError):
                act()


@pytest.mark.slow
def test_a_tree_in_which_everything_moves_is_one_that_a_client_takes(tmp_path: Path) -> None:
    moving, seen = Moving(tmp_path), set()
    moving.start()
    try:
        until = time.monotonic() + 4
        while time.monotonic() < until:
            order, entries = TreeOrder(""), list(served(tmp_path).tree("", most=1000))
            for entry in entries:
                order.check(FileRow(entry.size, entry.mtime, entry.name))
            seen.add(tuple(entry.name for entry in entries))
    finally:
        moving.stopped.set()
        moving.join()
    assert len(seen) > 100


# --- mounts ---


def test_what_is_mounted_in_it_is_neither_shown_nor_entered() -> None:
    if not os.path.ismount("/dev/shm") or os.stat("/dev").st_dev == os.stat("/dev/shm").st_dev:
        pytest.skip("nothing is mounted below /dev here")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        name = os.path.basename(file.name)
        assert read(served(Path("/dev/shm")), name) == b""
        repository = served(Path("/dev"))
        assert f"shm/{name}" not in tree(repository)
        refused(repository, f"shm/{name}")
        with pytest.raises(errors.NoSuchFile):
            tree(repository, "shm")


def test_what_root_mounts_is_not_there_until_it_is_gone_again(repository: Repository, folder: Path) -> None:
    mounting = ["mount", "-t", "tmpfs", "tmpfs", str(folder / "a/b")]
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(mounting, check=False, capture_output=True).returncode
    ):
        pytest.skip("nothing can be mounted here")
    try:
        (folder / "a/b/two").write_bytes(SECRET)
        assert tree(repository) == ["a/one", "top"]
        refused(repository, "a/b/two")
    finally:
        subprocess.run(["umount", str(folder / "a/b")], check=True)
    assert read(repository, "a/b/two") == INSIDE


# --- an attack ---


class Swapping:
    """A thread that puts a link to the outside in the place of a folder, and the folder back, as fast as it can."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._folder = folder
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        outside = os.path.relpath(self._folder.parent / "outside", (self._folder / "a").parent)
        while not self._stopped.is_set():
            for path, target in (
                (self._folder / "a", outside),
                (self._folder / "a/b", self._folder.parent / "outside/b"),
            ):
                path.rename(self._folder / ".away")
                path.symlink_to(target)
                path.unlink()
                (self._folder / ".away").rename(path)
            self.count += 1

    def __enter__(self) -> Swapping:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()


def test_folders_that_are_swapped_for_links_while_ten_thousand_are_opened_let_nothing_out(folder: Path) -> None:
    repository, seen = served(folder), {INSIDE: 0, b"": 0}
    deadline = time.monotonic() + PATIENCE
    with Swapping(folder) as swapping:
        while sum(seen.values()) < 10_000 or not all(seen.values()) or not swapping.count:
            assert time.monotonic() < deadline, seen
            for path in ("a/one", "a/b/two"):
                try:
                    seen[read(repository, path)] += 1
                except errors.NoSuchFile:
                    seen[b""] += 1
            if sum(seen.values()) % 20 == 0:
                entries = list(repository.tree("", most=100))
                assert all(entry.size == len(INSIDE) for entry in entries), "nothing of the outside"


@pytest.mark.slow
def test_nor_while_a_server_is_asked_for_ten_thousand(folder: Path) -> None:
    with ServerProcess(folder, "--recursive") as server, server.greeted() as client, Swapping(folder) as swapping:
        answers = set()
        for _ in range(100):
            client.send(b"get a/one\nget a/b/two\n" * 50)
            for _ in range(100):
                header = client.line()
                answers.add(header.split(b" ")[0])
                if header.startswith(b"FILE "):
                    assert client.read(int(header.split(b" ")[1])) == INSIDE
                    assert client.line().startswith(b"END ")
                else:
                    assert header.startswith(b"ERROR no-such-file ")
        assert (answers, swapping.count > 0) == ({b"FILE", b"ERROR"}, True)
