"""Folders below a folder: whatever else has the name of one is an error, and nothing is followed or left open."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatfile import paths
from chatfile.paths import Enter, descend, enter_folder, enter_on_same_device, enter_or_make

WAYS = [enter_folder, enter_on_same_device, enter_or_make]
BY_EACH_WAY = pytest.mark.parametrize("enter", WAYS)


@contextmanager
def descended(root: Path, path: str, enter: Enter) -> Iterator[int]:
    folder = descend(os.open(root, os.O_RDONLY), path.split("/") if path else (), enter)
    yield folder
    os.close(folder)


def _bind(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


NO_FOLDER: dict[str, Callable[[Path], object]] = {
    "file": Path.touch,
    "link to a folder": lambda path: path.symlink_to("real"),
    "link out": lambda path: path.symlink_to("../outside"),
    "absolute link": lambda path: path.symlink_to("/"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "FIFO": os.mkfifo,
    "socket": _bind,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("root/real/inner", "outside/inner"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "root"


@BY_EACH_WAY
def test_no_names_lead_to_the_folder_itself(root: Path, enter: Enter) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    assert descend(descriptor, (), enter) == descriptor
    os.close(descriptor)


@BY_EACH_WAY
def test_names_lead_from_folder_to_folder(root: Path, enter: Enter) -> None:
    with descended(root, "real/inner", enter) as folder:
        assert os.path.samestat(os.fstat(folder), (root / "real/inner").stat())
        assert not os.get_inheritable(folder)


@BY_EACH_WAY
@pytest.mark.parametrize("put", NO_FOLDER.values(), ids=NO_FOLDER.keys())
@pytest.mark.parametrize("path", ["odd", "odd/inner", "real/odd", "real/odd/inner"])
def test_what_is_no_folder_is_an_error_and_stays(
    root: Path, enter: Enter, put: Callable[[Path], object], path: str
) -> None:
    odd = root / path.removesuffix("/inner")
    put(odd)
    before = odd.lstat()
    with pytest.raises(NotADirectoryError):
        descend(os.open(root, os.O_RDONLY), path.split("/"), enter)
    assert odd.lstat() == before
    assert sorted(os.listdir(root.parent / "outside")) == ["inner"]


@pytest.mark.parametrize("enter", [enter_folder, enter_on_same_device])
def test_what_is_not_there_is_not_made(root: Path, enter: Enter) -> None:
    with pytest.raises(FileNotFoundError):
        descend(os.open(root, os.O_RDONLY), ["real", "new", "inner"], enter)
    assert os.listdir(root / "real") == ["inner"]


def test_what_is_not_there_is_made_where_that_is_wanted(root: Path) -> None:
    with descended(root, "real/new/grüße/" + "x" * 255, enter_or_make) as folder:
        assert os.path.samestat(os.fstat(folder), (root / "real/new/grüße" / ("x" * 255)).stat())


@BY_EACH_WAY
@pytest.mark.parametrize("name", ["", ".", "..", "/", "/etc", "a/b", "real/", "../outside", "a\0"])
def test_what_is_not_one_name_never_reaches_the_system(
    root: Path, enter: Enter, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    if "\0" not in name:  # which `os.open` itself refuses
        monkeypatch.setattr(os, "mkdir", None)
        monkeypatch.setattr(os, "open", None)
    with pytest.raises(ValueError):  # noqa: PT011 -- that of the system module has its own words
        descend(descriptor, ["real", name][1:], enter)


def test_a_folder_that_somebody_makes_meanwhile_is_taken_and_a_link_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def first(put: Callable[[Path], object]) -> Callable[..., None]:
        def mkdir(name: bytes, dir_fd: int) -> None:
            put(root / name.decode())
            make(name, dir_fd=dir_fd)

        return mkdir

    monkeypatch.setattr(os, "mkdir", first(make))
    with descended(root, "theirs", enter_or_make) as folder:
        assert os.path.samestat(os.fstat(folder), (root / "theirs").stat())
    monkeypatch.setattr(os, "mkdir", first(lambda path: path.symlink_to("real")))
    with pytest.raises(NotADirectoryError):
        descend(os.open(root, os.O_RDONLY), ["planted"], enter_or_make)


def test_a_folder_that_is_moved_away_between_two_steps_is_not_looked_for_again(root: Path) -> None:
    """The next name is looked up in the folder that was opened, not in what has its name now."""

    def enter(folder: int, name: str) -> int:
        if name == "inner":
            (root / "real").rename(root / "away")
            (root / "real").symlink_to("../outside")
        return enter_folder(folder, name)

    with descended(root, "real/inner", enter) as folder:
        assert os.path.samestat(os.fstat(folder), (root / "away/inner").stat())


def test_another_device_is_not_entered_and_nothing_is_left_open(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        seen = list(look(descriptor))
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(root / "real"):
            seen[2] += 1  # st_dev
        return os.stat_result(seen)

    monkeypatch.setattr(paths.os, "fstat", fstat)
    for path in (["real"], ["real", "inner"]):
        with pytest.raises(OSError, match="cross-device") as error:
            descend(os.open(root, os.O_RDONLY), path, enter_on_same_device)
        assert error.value.errno == errno.EXDEV


def test_a_mount_is_another_device() -> None:
    if not os.path.ismount("/dev/shm") or os.stat("/dev").st_dev == os.stat("/dev/shm").st_dev:
        pytest.skip("nothing is mounted below /dev here")
    with pytest.raises(OSError, match="cross-device"):
        descend(os.open("/dev", os.O_RDONLY), ["shm"], enter_on_same_device)
    os.close(descend(os.open("/dev", os.O_RDONLY), ["shm"], enter_folder))


@BY_EACH_WAY
def test_without_descriptors_nothing_is_left_open(root: Path, enter: Enter) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor + 1, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            descend(descriptor, ["real", "inner"], enter)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
