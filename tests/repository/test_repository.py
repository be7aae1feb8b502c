"""What is listed can be fetched and nothing else, whatever lies in the folder and whatever happens to it meanwhile."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from chatfile import errors
from chatfile.repository import Entry, Repository
from tests.support.processes import unmeasured

OLD_NS = 1_500_000_000_500_000_000
PATIENCE = 20
pytestmark = pytest.mark.timeout(PATIENCE)  # a call that blocks is a failure


@pytest.fixture(autouse=True)
def no_descriptor_is_left(tmp_path: Path) -> Iterator[None]:
    """Whatever was refused, every descriptor is given back."""
    yield
    assert [path for path in _open_paths() if path.startswith(str(tmp_path))] == []


def _open_paths() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            yield str(descriptor.readlink())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one plain file, next to another one whose name begins like its own."""
    folder = tmp_path / "files"
    for each, name in ((folder, "a.txt"), (tmp_path / "files-evil", "secret"), (folder / "sub", "inner")):
        each.mkdir()
        (each / name).write_bytes(b"hello")
        os.utime(each / name, ns=(OLD_NS, OLD_NS))
    return folder


@pytest.fixture
def repository(folder: Path) -> Repository:
    return Repository(str(folder))


def _names(repository: Repository) -> list[str]:
    return [entry.name for entry in repository.listing()]


def _read(repository: Repository, name: str) -> bytes:
    opened = repository.open(name)
    assert opened.name == name
    with os.fdopen(opened.detach(), "rb") as file:
        return file.read()


def _assert_not_there(repository: Repository, name: str) -> None:
    assert name not in _names(repository)
    _assert_refused(repository, name)


def _assert_refused(repository: Repository, name: str) -> None:
    with pytest.raises(errors.NoSuchFile):
        repository.open(name)


def test_what_is_listed_opens_with_the_size_and_time_of_its_row(repository: Repository, folder: Path) -> None:
    (folder / "empty").touch()
    (folder / "b").write_bytes(bytes(range(256)))
    os.utime(folder / "b", ns=(0, -1_500_000_000))
    assert Entry(5, 1_500_000_000, "a.txt") in set(repository.listing())
    assert Entry(256, -2, "b") in repository.listing()
    for entry in repository.listing():
        opened = repository.open(entry.name)
        assert Entry(opened.size, opened.mtime, opened.name) == entry
        opened.close()
    assert _read(repository, "b") == bytes(range(256))


@pytest.mark.parametrize(
    "name",
    [
        *("a b.txt", " a", "a ", "a.", "-rf", "--help", "%s%n", "{x.__class__}", "list", "exit", "C:\\x", "~"),
        *("caf\u00e9", "cafe\u0301", "日本語", "👩\u200d👩\u200d👧", "\u202etxt", "\u00a0", "x" * 255, "é" * 127 + "x"),
    ],
)
def test_an_odd_name_is_a_name(repository: Repository, folder: Path, name: str) -> None:
    (folder / name).write_bytes(name.encode())
    assert name in _names(repository)
    assert _read(repository, name) == name.encode()


@pytest.mark.parametrize(
    "name",
    [*(".hidden", ".a.txt.part", "...", "..\\x"), *(f"a{c}b" for c in "\n\r\t\x01\x1b\x7f\x85\x9b\u2028\u2029")],
)
def test_what_no_line_may_hold_is_not_served(repository: Repository, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"secret")
    _assert_not_there(repository, name)
    assert _names(repository) == ["a.txt"]


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"caf\xe9", b"\xed\xa0\x80"])
def test_a_name_that_is_not_utf8_is_not_served(repository: Repository, folder: Path, raw: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + raw)).write_bytes(b"secret")
    assert _names(repository) == ["a.txt"]
    for name in (raw.decode(errors="surrogateescape"), raw.decode(errors="replace"), raw.decode("latin-1")):
        _assert_not_there(repository, name)


def _bind(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")  # the path itself can be too long for an address
    os.close(here)


NOT_REGULAR = pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda path: path.symlink_to("a.txt"), id="link within"),
        pytest.param(lambda path: path.symlink_to(path.parent / "a.txt"), id="absolute link within"),
        pytest.param(lambda path: path.symlink_to("../files-evil/secret"), id="link outside"),
        pytest.param(lambda path: path.symlink_to("/etc/passwd"), id="absolute link outside"),
        pytest.param(lambda path: path.symlink_to("../files/a.txt"), id="link through outside"),
        pytest.param(lambda path: path.symlink_to("nowhere"), id="dangling link"),
        pytest.param(lambda path: path.symlink_to(path.name), id="link to itself"),
        pytest.param(lambda path: path.symlink_to("sub"), id="link to a folder"),
        pytest.param(lambda path: path.symlink_to("/dev/null"), id="link to a device"),
        pytest.param(os.mkfifo, id="FIFO"),
        pytest.param(_bind, id="socket"),
        pytest.param(Path.mkdir, id="folder"),
        pytest.param(lambda path: None, id="nothing"),
    ],
)


@NOT_REGULAR
def test_what_is_not_a_regular_file_is_not_there(
    repository: Repository, folder: Path, put: Callable[[Path], None]
) -> None:
    put(folder / "odd")
    _assert_not_there(repository, "odd")


@NOT_REGULAR
def test_a_file_that_becomes_something_else_while_it_is_opened_is_not_there(
    repository: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], None]
) -> None:
    (folder / "b").write_bytes(b"hello")
    look = os.stat

    def look_and_replace(*args: Any, **kwargs: Any) -> os.stat_result:
        seen = look(*args, **kwargs)
        monkeypatch.undo()
        (folder / "b").unlink()
        put(folder / "b")
        return seen

    monkeypatch.setattr(os, "stat", look_and_replace)
    _assert_refused(repository, "b")


@NOT_REGULAR
def test_a_file_that_becomes_something_else_while_it_is_listed_is_not_listed(
    repository: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], None]
) -> None:
    (folder / "b").write_bytes(b"hello")
    scan = os.scandir

    @contextmanager
    def scan_and_replace(where: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scan(where) as found:
            entries = list(found)
        (folder / "b").unlink()
        put(folder / "b")
        yield iter(entries)

    monkeypatch.setattr(os, "scandir", scan_and_replace)
    assert _names(repository) == ["a.txt"]


def test_a_device_is_not_there() -> None:
    _assert_not_there(Repository("/dev"), "null")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "/",
            "../files-evil/secret",
            "../files/a.txt",
            "sub/inner",
            "sub/../a.txt",
            "./a.txt",
            "a.txt/",
        ),
        *("//a.txt", "/etc/passwd", "a.txt\0", "sub\\inner", "%2e%2e/files-evil/secret", "A.TXT", "nowhere", "*"),
        *("x" * 256, "é" * 128, "x" * 4000, "\ud800", "\udc2fetc"),
    ],
)
def test_a_path_is_not_a_name_and_gets_the_answer_of_a_missing_file(
    repository: Repository, folder: Path, name: str
) -> None:
    _assert_not_there(repository, name)
    _assert_not_there(repository, f"{folder}/{name}")


def test_the_listing_is_sorted_code_point_by_code_point(repository: Repository, folder: Path) -> None:
    names = ["10", "9", "B", "a b", "a.txt", "a0", "b", "é", "\uff61", "\U0001d4b3"]
    for name in names:
        (folder / name).touch()
    assert _names(repository) == names


def test_a_folder_that_is_a_link_is_served(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert _read(Repository(str(tmp_path / "link")), "a.txt") == b"hello"


def test_a_folder_may_vanish_and_come_back(repository: Repository, folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "away")
    _assert_folder_unavailable(repository)
    folder.write_bytes(b"not a folder")
    _assert_folder_unavailable(repository)
    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert _read(repository, "a.txt") == b"hello"


def _assert_folder_unavailable(repository: Repository) -> None:
    for ask in (repository.listing, lambda: repository.open("a.txt")):
        with pytest.raises(errors.Unavailable, match=r"^The folder can't be read now: ") as refusal:
            ask()
        assert "/" not in str(refusal.value)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE])
@pytest.mark.parametrize("call", ["stat", "fstat", "scandir"])
def test_what_a_failing_system_withholds_is_unavailable(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/secret/path")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(errors.Unavailable, match=os.strerror(number).lower()) as refusal:
            _ = repository.listing() if call == "scandir" else repository.open("a.txt")
    assert "secret" not in str(refusal.value)


UNPRIVILEGED = """
import os, sys
from chatfile.errors import Refusal
from chatfile.repository import Repository

os.chdir(sys.argv[1])
if os.geteuid() == 0:
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except OSError:
        sys.exit("skip")
repository = Repository(".")
for name in ("", "a.txt", "fifo", "sub"):
    try:
        print(repository.open(name) if name else [entry.name for entry in repository.listing()])
    except Refusal as refusal:
        print("FolderUnavailable" if str(refusal).startswith("The folder ") else type(refusal).__name__)
"""


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (0o755, ["['a.txt']", "Unavailable", "NoSuchFile", "NoSuchFile"]),
        (0o311, ["FolderUnavailable"] * 4),
    ],
)
def test_what_may_not_be_read_is_unavailable_and_may_be_listed(folder: Path, mode: int, expected: list[str]) -> None:
    os.mkfifo(folder / "fifo")
    for each in folder.iterdir():
        each.chmod(0)
    folder.chmod(mode)
    child = [sys.executable, "-c", UNPRIVILEGED, str(folder)]
    done = subprocess.run(child, env=unmeasured(), capture_output=True, text=True, check=False, timeout=PATIENCE)
    folder.chmod(0o755)
    (folder / "sub").chmod(0o755)
    if done.stderr.strip() == "skip":
        pytest.skip("root can't become another user here")
    assert (done.stdout.splitlines(), done.stderr) == (expected, "")


def test_a_file_that_becomes_a_link_while_it_is_listed_is_none(repository: Repository, folder: Path) -> None:
    def replace() -> bool:
        (folder / "a.txt").unlink(missing_ok=True)
        (folder / "a.txt").symlink_to("/etc/passwd")
        return False

    assert list(repository.listing(replace)) == []


def test_a_refusal_tells_of_trees_where_a_path_was_asked_for(folder: Path) -> None:
    repository = Repository(str(folder), is_recursive=True)
    for name, refusal in {"none": errors.NoSuchFile(name="none"), "a/b": errors.NoSuchFile.in_tree("a/b")}.items():
        with pytest.raises(errors.NoSuchFile) as refused:
            repository.open(name)
        assert str(refused.value) == str(refusal)


ANYWHERE = """
import sys
from chatfile.repository import Repository

repository = Repository(sys.argv[1])
for entry in repository.listing():
    print(ascii(entry.name), repository.open(entry.name).size, sys.getfilesystemencoding())
"""


def test_names_are_utf_8_also_where_those_of_the_system_are_not(tmp_path: Path) -> None:
    (tmp_path / "caf\u00e9").write_bytes(b"hello")
    somewhere = {**unmeasured(), "LC_ALL": "C", "PYTHONUTF8": "0"}
    child = [sys.executable, "-c", ANYWHERE, str(tmp_path)]
    done = subprocess.run(child, env=somewhere, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == "'caf\\xe9' 5 ascii\n"


def test_an_open_file_stays_whole_when_its_name_is_given_to_another(repository: Repository, folder: Path) -> None:
    opened = repository.open("a.txt")
    (folder / "new").write_bytes(b"other")
    (folder / "new").rename(folder / "a.txt")
    assert os.read(opened.descriptor, 99) == b"hello"
    assert _read(repository, "a.txt") == b"other"
    opened.close()


def test_a_descriptor_is_closed_once_or_handed_on(repository: Repository) -> None:
    opened = repository.open("a.txt")
    assert os.get_blocking(opened.descriptor)
    assert not os.get_inheritable(opened.descriptor)
    descriptor = opened.detach()
    opened.close()
    assert os.read(descriptor, 99) == b"hello"
    os.close(descriptor)
    again = repository.open("a.txt")
    again.close()
    again.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_listing_of_many_parts_is_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatfile.repository._PART", 2)
    for name in "gcaebfd":
        (tmp_path / name).touch()
    assert "".join(entry.name for entry in Repository(str(tmp_path)).listing()) == "abcdefg"
