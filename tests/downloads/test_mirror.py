"""Mirrors: the local folder becomes what the server's is, nothing is fetched twice, nothing of the user's is lost."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from chatfile import downloads, errors, paths
from chatfile.downloads import Download, Mirror, MirrorFilter, Removal
from chatfile.downloads.manifest import NAME, Manifest
from chatfile.partfile import Source
from chatfile.paths import LocalPath
from tests.support.lacking import refuse
from tests.support.linked import Link, outcome
from tests.support.mirrored import FILES, Mirrored
from tests.support.serving import OLD
from tests.support.torture import NOTHING, Seam, refused
from tests.support.transports import Threads, at_once, turn_over
from tests.support.trees import tree


@pytest.fixture
def mirrored(tmp_path: Path) -> Mirrored:
    return Mirrored(tmp_path)


def test_the_local_folder_becomes_what_the_servers_is(mirrored: Mirrored) -> None:
    results, _ = mirrored.mirror()
    assert set(results) == set(FILES)
    assert all(result.verified for result in results.values())
    assert mirrored.files() == FILES
    assert {(mirrored.local / path).stat().st_mtime for path in FILES} == {OLD}


def test_a_folder_of_the_server_is_mirrored_without_its_own_name(mirrored: Mirrored) -> None:
    mirrored.mirror("docs")
    assert mirrored.files() == {"a": FILES["docs/a"], "b c": b"", "deep/er/x": FILES["docs/deep/er/x"]}


def test_what_is_the_same_costs_nothing(mirrored: Mirrored) -> None:
    mirrored.mirror()
    assert mirrored.mirror(delete=True) == ({}, {})
    assert [line.split()[0] for line in mirrored.requests] == [b"Client02", b"tree"]


def test_what_is_new_or_has_changed_is_fetched(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.put("docs/a", b"another size")
    mirrored.put("other/y", b"z", time=OLD + 5)
    mirrored.put("new/n", b"n")
    results, _ = mirrored.mirror()
    assert set(results) == {"docs/a", "other/y", "new/n"}
    assert mirrored.files() == FILES | {"docs/a": b"another size", "other/y": b"z", "new/n": b"n"}


def test_another_time_alone_is_taken_over_without_the_bytes(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.put("docs/a", FILES["docs/a"], time=OLD + 5)
    assert mirrored.mirror() == ({}, {})
    assert mirrored.requests[-1] == b"hash docs/a"
    assert (mirrored.local / "docs/a").stat().st_mtime == OLD + 5
    assert mirrored.mirror() == ({}, {})
    assert mirrored.requests[-1] == b"tree"
    mirrored.remove("docs/a")
    assert mirrored.mirror(delete=True)[1] == {"docs/a": Removal.REMOVED}


def test_by_digest_what_has_the_same_size_and_time_is_found_out(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.put("docs/a", b"b" * 100)
    assert mirrored.mirror() == ({}, {})
    results, _ = mirrored.mirror(by_digest=True)
    assert set(results) == {"docs/a"}
    assert mirrored.files()["docs/a"] == b"b" * 100


# --- removing ---


def test_what_the_server_has_no_more_stays_unless_it_is_to_be_removed(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.remove("docs/deep/er/x")
    assert mirrored.mirror() == ({}, {})
    assert "docs/deep/er/x" in mirrored.files()
    assert mirrored.mirror(delete=True) == ({}, {"docs/deep/er/x": Removal.REMOVED})
    assert not (mirrored.local / "docs/deep").exists()
    assert mirrored.mirror(delete=True) == ({}, {})


def test_only_what_a_mirror_has_fetched_is_removed(mirrored: Mirrored) -> None:
    mirrored.local.mkdir()
    (mirrored.local / "mine").write_bytes(b"mine")
    (mirrored.local / "top").write_bytes(b"top")
    os.utime(mirrored.local / "top", (OLD, OLD))
    mirrored.mirror()
    (mirrored.local / "docs/mine").write_bytes(b"mine")
    for path in FILES:
        mirrored.remove(path)
    _, removed = mirrored.mirror(delete=True)
    assert set(removed) == set(FILES) - {"top"}
    assert mirrored.files() == {"mine": b"mine", "docs/mine": b"mine", "top": b"top"}


@pytest.mark.parametrize("content", [b"b" * 100, b"other"])
def test_what_the_user_has_changed_is_not_removed(mirrored: Mirrored, content: bytes) -> None:
    mirrored.mirror()
    (mirrored.local / "docs/a").write_bytes(content)
    mirrored.remove("docs/a")
    assert mirrored.mirror(delete=True)[1] == {"docs/a": Removal.CHANGED}
    assert mirrored.mirror(delete=True)[1] == {}
    assert mirrored.files()["docs/a"] == content


def test_what_the_user_has_removed_is_no_failure(mirrored: Mirrored) -> None:
    mirrored.mirror()
    (mirrored.local / "docs/a").unlink()
    mirrored.remove("docs/a")
    assert mirrored.mirror(delete=True)[1] == {"docs/a": Removal.MISSING}


def test_a_link_in_the_place_of_a_folder_is_not_followed_to_remove(mirrored: Mirrored, tmp_path: Path) -> None:
    mirrored.mirror()
    (mirrored.local / "docs").rename(tmp_path / "elsewhere")
    (mirrored.local / "docs").symlink_to(tmp_path / "elsewhere")
    mirrored.remove("docs/a")
    assert mirrored.mirror(delete=True)[1] == {"docs/a": Removal.MISSING}
    assert (tmp_path / "elsewhere/a").read_bytes() == FILES["docs/a"]


def test_of_another_folder_nothing_is_removed(mirrored: Mirrored) -> None:
    mirrored.mirror("docs")
    mirrored.remove("docs/a")
    assert mirrored.mirror("other", delete=True)[1] == {}
    assert mirrored.mirror("docs", delete=True)[1] == {"docs/a": Removal.REMOVED}


def test_a_file_becomes_a_folder_and_the_reverse(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.remove("top")
    mirrored.put("top/now", b"a folder")
    (mirrored.server.folder / "docs/deep/er/x").unlink()
    (mirrored.server.folder / "docs/deep/er").rmdir()
    mirrored.put("docs/deep/er", b"a file")
    results, _ = mirrored.mirror(delete=True)
    assert set(results) == {"top/now", "docs/deep/er"}
    assert mirrored.files()["top/now"] == b"a folder"
    assert mirrored.files()["docs/deep/er"] == b"a file"


# --- what is the user's own ---


def test_what_the_user_has_changed_is_replaced_by_force_alone(mirrored: Mirrored) -> None:
    mirrored.mirror()
    (mirrored.local / "docs/a").write_bytes(b"mine")
    assert isinstance(mirrored.mirror()[0]["docs/a"], errors.TargetExists)
    assert mirrored.files()["docs/a"] == b"mine"
    assert mirrored.mirror(force=True)[0]["docs/a"].verified
    assert mirrored.files() == FILES


@pytest.mark.parametrize(
    "put", [lambda path: path.symlink_to("/tmp"), os.mkfifo, Path.touch], ids=["link", "FIFO", "file"]
)
def test_what_is_no_folder_is_an_error_and_never_followed(mirrored: Mirrored, put: Callable[[Path], object]) -> None:
    mirrored.local.mkdir()
    put(mirrored.local / "docs")
    before = os.lstat(mirrored.local / "docs")
    results, _ = mirrored.mirror(force=True)
    assert {path for path, result in results.items() if isinstance(result, errors.LocalFileError)} == {
        path for path in FILES if path.startswith("docs/")
    }
    assert os.lstat(mirrored.local / "docs") == before
    assert "other/y" in mirrored.files()


def test_a_mirror_that_broke_goes_on(mirrored: Mirrored) -> None:
    link = Link(mirrored.server, mirrored.local)
    rows = mirrored.rows(link, "")
    mirror = Mirror(rows, "", str(mirrored.local), in_thread=at_once)
    mirrored.run(link, mirror.begin())
    link.cut_after = 70_200
    result: Any = None
    for number in range(len(mirror.rows)):
        running = Deferred.fromCoroutine(mirror.download(link.client, number))
        for _ in range(3):
            link.carry()
            turn_over(mirrored.server.clock)
        if not running.called:
            link.cut()
        result = outcome(running)
        if not isinstance(result, Download):
            break
    assert isinstance(result, errors.ServerClosed)
    mirrored.run(link, mirror.finish())
    before = set(mirrored.files())
    results, _ = mirrored.mirror()
    assert set(results).isdisjoint(before)
    assert mirrored.files() == FILES
    for path in FILES:
        mirrored.remove(path)
    assert set(mirrored.mirror(delete=True)[1]) == set(FILES)


def test_what_was_saved_ahead_of_its_turn_is_noted_where_the_turn_does_not_come(mirrored: Mirrored) -> None:
    for number in range(40):
        mirrored.put(f"many/{number:02}", b"small")
    link = Link(mirrored.server, mirrored.local)
    mirror = Mirror(mirrored.rows(link, "many"), "many", str(mirrored.local), in_thread=at_once)
    mirrored.run(link, mirror.begin())
    mirrored.run(link, mirror.download(link.client, 0))
    mirrored.run(link, mirror.finish())
    saved = set(mirrored.files())
    assert len(saved) > 1
    manifest = Manifest(str(mirrored.local), read_only=True)
    assert {path.removeprefix("many/") for path in manifest.entries} == saved
    manifest.close()


def test_what_is_being_noted_at_an_interruption_is_noted(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mirror, "SLICE", 2)
    threads = Threads()
    link = Link(mirrored.server, mirrored.local)
    mirror = Mirror(mirrored.rows(link, "docs"), "docs", str(mirrored.local), in_thread=threads)

    async def get_all() -> None:
        await mirror.begin()
        for number in range(len(mirror.rows)):
            await mirror.download(link.client, number)

    getting = Deferred.fromCoroutine(get_all())
    while not any(waiting.call is Manifest.add for waiting in threads.waiting):
        link.carry()
        turn_over(mirrored.server.clock)
        threads.run()
    getting.addErrback(lambda failure: failure.trap(CancelledError) and None)
    getting.cancel()
    threads.waiting.clear()
    ending = Deferred.fromCoroutine(mirror.finish())
    while not ending.called:
        threads.run()
    manifest = Manifest(str(mirrored.local), read_only=True)
    assert len(manifest.entries) == len(mirrored.files())
    manifest.close()
    threads.run_all()


def test_what_gets_its_name_at_an_interruption_is_not_taken_for_the_users_own(mirrored: Mirrored) -> None:
    threads = Threads()
    link = Link(mirrored.server, mirrored.local)
    mirror = Mirror(mirrored.rows(link, "docs/deep"), "docs/deep", str(mirrored.local), in_thread=threads)

    async def get_one() -> None:
        await mirror.begin()
        await mirror.download(link.client, 0)

    getting = Deferred.fromCoroutine(get_one())
    while not any(getattr(waiting.call, "__name__", "") == "_finish" for waiting in threads.waiting):
        link.carry()
        turn_over(mirrored.server.clock)
        threads.run()
    getting.addErrback(lambda failure: failure.trap(CancelledError) and None)
    getting.cancel()
    ending = Deferred.fromCoroutine(mirror.finish())
    while not ending.called:
        threads.run()
    threads.run_all()
    assert (mirrored.local / "er/x").exists()
    mirrored.put("docs/deep/er/x", b"new", time=OLD + 1)
    results, _ = mirrored.mirror("docs/deep")
    assert results["docs/deep/er/x"].verified


# --- patterns ---


@pytest.mark.parametrize(
    ("include", "exclude", "taken"),
    [
        ([], [], set(FILES)),
        (["docs"], [], {"docs/a", "docs/b c", "docs/deep/er/x"}),
        (["docs/*"], ["deep"], {"docs/a", "docs/b c"}),
        ([], ["*er"], {"top", "docs/a", "docs/b c"}),
        (["x", "y"], ["other/*"], {"docs/deep/er/x"}),
        (["/docs/a"], [], {"docs/a"}),
        (["A"], [], set()),
    ],
    ids=lambda value: ",".join(sorted(value)),
)
def test_patterns_choose_what_is_mirrored(
    mirrored: Mirrored, include: list[str], exclude: list[str], taken: set[str]
) -> None:
    takes = MirrorFilter(include, exclude)
    assert {path for path in FILES if takes.takes(path)} == taken
    mirrored.mirror(takes=takes)
    assert set(mirrored.files()) == taken


def test_what_is_excluded_is_not_removed(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.remove("docs/a")
    mirrored.remove("top")
    assert mirrored.mirror(delete=True, takes=MirrorFilter(exclude=["docs"]))[1] == {"top": Removal.REMOVED}
    assert "docs/a" in mirrored.files()


# --- without doing it ---


def test_what_would_be_done_is_told_and_not_done(mirrored: Mirrored) -> None:
    link = Link(mirrored.server, mirrored.local)
    mirror = Mirror(mirrored.rows(link, ""), "", str(mirrored.local), in_thread=at_once)
    mirrored.run(link, mirror.begin(read_only=True))
    assert [row.name for row in mirror.rows] == sorted(FILES)
    mirrored.run(link, mirror.finish())
    assert not mirrored.local.exists()
    mirrored.mirror()
    mirrored.put("docs/a", b"other")
    mirrored.remove("top")
    before = tree(mirrored.local)
    mirror = Mirror(mirrored.rows(link, ""), "", str(mirrored.local), in_thread=at_once)
    mirrored.run(link, mirror.begin(read_only=True))
    assert [row.name for row in mirror.rows] == ["docs/a"]
    assert mirror.gone() == ["top"]
    mirrored.run(link, mirror.finish())
    assert tree(mirrored.local) == before


# --- the manifest ---


def test_one_mirror_at_a_time_uses_a_folder(mirrored: Mirrored) -> None:
    manifest = Manifest(str(mirrored.local))
    with pytest.raises(errors.DownloadBusy):
        Manifest(str(mirrored.local))
    manifest.close()
    Manifest(str(mirrored.local)).close()


@pytest.mark.parametrize(
    "plant", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, Path.mkdir], ids=["link", "FIFO", "folder"]
)
def test_what_is_planted_in_its_place_is_told(mirrored: Mirrored, plant: Callable[[Path], object]) -> None:
    mirrored.local.mkdir()
    plant(mirrored.local / NAME)
    with pytest.raises(errors.LocalFileError):
        Manifest(str(mirrored.local))


def test_lines_that_are_none_cost_only_themselves(mirrored: Mirrored) -> None:
    mirrored.mirror()
    path = mirrored.local / NAME
    path.write_bytes(b"\xff\n../x\n5 2017-07-14T02:40:00Z ../../etc\n" + path.read_bytes() + b"3 2017-07-14T02:40")
    manifest = Manifest(str(mirrored.local))
    assert set(manifest.entries) == set(FILES)
    manifest.close()


@pytest.mark.parametrize("left", [b"3 2017-07-14T02:40", b"3 2017-07-14T02:40:00Z t", bytes(30)])
def test_a_line_that_was_cut_short_costs_none_behind_it(mirrored: Mirrored, left: bytes) -> None:
    mirrored.mirror()
    (mirrored.local / NAME).write_bytes(left)
    manifest = Manifest(str(mirrored.local))
    manifest.add([("top", LocalPath.of(str(mirrored.local), "top"))])
    manifest.close()
    manifest = Manifest(str(mirrored.local), read_only=True)
    assert manifest.entries == {"top": (Source(3, OLD),)}
    manifest.close()


def test_what_was_fetched_is_known_though_that_was_never_noted(mirrored: Mirrored) -> None:
    mirrored.mirror()
    mirrored.put("docs/a", b"replaced", time=OLD + 5)
    mirrored.put("docs/n", b"new")
    mirrored.local.joinpath("mine").write_bytes(b"mine")
    mirrored.put("mine", b"not mine")
    _fetch_all_and_vanish(mirrored)
    for path in ("docs/a", "docs/n", "mine", "top"):
        mirrored.remove(path)
    removed = mirrored.mirror(delete=True)[1]
    assert removed == dict.fromkeys(("docs/a", "docs/n", "top"), Removal.REMOVED)
    assert mirrored.files()["mine"] == b"mine"


def _fetch_all_and_vanish(mirrored: Mirrored) -> None:
    """As a mirror that is killed, or loses power, before it has noted anything."""
    link = Link(mirrored.server, mirrored.local)
    mirror = Mirror(mirrored.rows(link, ""), "", str(mirrored.local), in_thread=at_once)
    mirrored.run(link, mirror.begin())
    for number in range(len(mirror.rows)):
        mirrored.run(link, mirror.download(link.client, number))
    assert mirror._manifest is not None
    mirror._manifest.close()


def test_what_was_planned_and_not_fetched_is_not_noted_in_the_end(mirrored: Mirrored) -> None:
    link = Link(mirrored.server, mirrored.local)
    mirror = Mirror(mirrored.rows(link, ""), "", str(mirrored.local), in_thread=at_once)
    mirrored.run(link, mirror.begin())
    assert b"docs/a" in (mirrored.local / NAME).read_bytes()
    mirrored.run(link, mirror.finish())
    assert (mirrored.local / NAME).read_bytes() == b""


@pytest.mark.parametrize("step", [29, pytest.param(3, marks=pytest.mark.slow)])
def test_a_torn_manifest_removes_nothing_that_it_should_not(tmp_path: Path, step: int) -> None:
    for cut in range(0, 301, step):
        (tmp_path / str(cut)).mkdir()
        mirrored = Mirrored(tmp_path / str(cut))
        mirrored.mirror()
        path = mirrored.local / NAME
        path.write_bytes(path.read_bytes()[:cut])
        for name in FILES:
            mirrored.remove(name)
        _, removed = mirrored.mirror(delete=True)
        assert set(mirrored.files()) == set(FILES) - set(removed)
        assert all(result is Removal.REMOVED for result in removed.values())


def test_a_manifest_that_can_not_be_written_is_told(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror([], "", str(mirrored.local), in_thread=at_once)
    link = Link(mirrored.server, mirrored.local)
    mirrored.run(link, mirror.begin())
    mirror._fetched.append(("top", LocalPath(str(mirrored.local), ("top",))))
    (mirrored.local / "top").touch()
    refuse(monkeypatch, os, "write", errno.ENOSPC)
    assert isinstance(mirrored.run(link, mirror.finish()), errors.LocalFileError)


# --- somebody who swaps folders for links meanwhile ---


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("call", ["open", "stat", "unlink"])
def test_what_can_not_be_removed_now_is_removed_the_next_time(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    mirrored.mirror()
    mirrored.remove("docs/a")
    manifest = Manifest(str(mirrored.local))
    with monkeypatch.context() as patch:
        seam = Seam()
        seam.install(patch, downloads.manifest, paths)
        seam.strike(refused(errno.EIO, call), after)
        removal = attempt(lambda: manifest.remove("docs/a", LocalPath.of(str(mirrored.local), "docs/a")))
    manifest.rewrite()
    manifest.close()
    assert removal is Removal.REMOVED or isinstance(removal, OSError)
    assert ("docs/a" in manifest.entries) is isinstance(removal, OSError)
    mirrored.mirror(delete=True)
    assert "docs/a" not in mirrored.files()


def test_a_file_that_can_not_be_looked_at_is_not_left_out_of_what_is_noted(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.mirror()
    manifest = Manifest(str(mirrored.local))
    seam = Seam()
    seam.install(monkeypatch, downloads.manifest)
    seam.strike(refused(errno.EIO, "stat"), 0)
    with pytest.raises(OSError, match="Input/output"):
        manifest.add([("docs/a", LocalPath.of(str(mirrored.local), "docs/a"))])
    manifest.close()


def test_a_manifest_of_which_the_disk_gives_less_is_told(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored.mirror()
    seam = Seam()
    seam.install(monkeypatch, downloads.manifest)
    seam.strike(NOTHING, 0)
    with pytest.raises(errors.LocalFileError):
        Manifest(str(mirrored.local))


def attempt(call: Callable[[], Any]) -> Any:
    """What comes of it, or the OSError."""
    try:
        return call()
    except OSError as error:
        return error


def _swap(folder: Path, outside: Path, is_over: threading.Event) -> None:
    """Put a link to `outside` in the place of `folder`, and the folder back, again and again."""
    aside, link = folder.with_name(".aside"), folder.with_name(".link")
    while not is_over.is_set():
        link.unlink(missing_ok=True)
        link.symlink_to(outside)
        folder.rename(aside)
        while True:  # the mirror may have made a folder in its place
            try:
                link.rename(folder)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                break
        folder.unlink()
        while aside.exists():
            try:
                aside.rename(folder)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)


def test_nothing_outside_is_touched_whatever_folders_become_meanwhile(mirrored: Mirrored, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(mirrored.server.folder / "docs", outside)
    mirrored.mirror()
    before = tree(outside)
    is_over = threading.Event()
    swapping = threading.Thread(target=_swap, args=(mirrored.local / "docs", outside, is_over))
    swapping.start()
    try:
        for number in range(25):
            mirrored.put("docs/a", b"%d" % number, time=OLD + number)
            mirrored.put(f"docs/new {number}", b"new")
            if number:
                mirrored.remove(f"docs/new {number - 1}")
            mirrored.mirror(delete=True, force=True)
    finally:
        is_over.set()
        swapping.join()
    assert tree(outside) == before
