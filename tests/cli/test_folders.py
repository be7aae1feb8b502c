"""Subfolders, mirrors and digests from elsewhere, by the whole program and a real server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess, run_client
from tests.support.trees import tree

FILES = {
    "a.txt": b"hello\n",
    "docs/1.txt": b"one",
    "docs/2 b.txt": b"two",
    "docs/deep/x": b"",
    "other/big": bytes(200_000),
}
SUMS = b"".join(
    b"%b  %b\n" % (hashlib.sha256(content).hexdigest().encode(), name.encode()) for name, content in FILES.items()
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("folders") / "served"
    for name, content in FILES.items():
        (served / name).parent.mkdir(parents=True, exist_ok=True)
        (served / name).write_bytes(content)
        os.utime(served / name, (1e9, 1e9))
    return served


@pytest.fixture(scope="module")
def server(served: Path) -> Iterator[ServerProcess]:
    with ServerProcess(served, "--recursive", "--max-clients=10") as server:
        yield server


@pytest.fixture(scope="module")
def flat(served: Path) -> Iterator[ServerProcess]:
    with ServerProcess(served, "--max-clients=10") as server:
        yield server


def client(folder: Path, server: ServerProcess, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[bytes]:
    done = run_client(folder, "-s", f"127.0.0.1:{server.port}", *arguments, stdin=stdin.encode())
    assert b"Traceback" not in done.stderr
    return done


def here(folder: Path, inside: str = "client_downloads") -> dict[str, bytes]:
    found = tree(folder / inside) if (folder / inside).exists() else {}
    return {name: content for name, content in found.items() if isinstance(content, bytes) and name[0] != "."}


def lines(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    return done.stdout.decode().splitlines()


# --- tree and paths ---


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["tree"], list(FILES)),
        (["tree", "docs"], ["docs/1.txt", "docs/2 b.txt", "docs/deep/x"]),
        pytest.param(["tree", "docs/deep/"], ["docs/deep/x"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_tree_is_shown_with_whole_paths(
    tmp_path: Path, server: ServerProcess, arguments: list[str], names: list[str]
) -> None:
    done = client(tmp_path, server, *arguments)
    assert [line.split(maxsplit=2)[2] for line in lines(done)] == names
    objects = map(json.loads, lines(client(tmp_path, server, "--json", *arguments)))
    assert [each["name"] for each in objects] == names


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tree", "nowhere"], 5),
        (["get", "docs/nothing"], 5),
        pytest.param(["get", "docs"], 5, marks=pytest.mark.slow),
        pytest.param(["get", "nowhere/*"], 5, marks=pytest.mark.slow),
        pytest.param(["hash", "docs/nothing"], 5, marks=pytest.mark.slow),
        pytest.param(["mirror", "nowhere"], 5, marks=pytest.mark.slow),
        (["get", "../a.txt"], 2),
        pytest.param(["get", "docs//1.txt"], 2, marks=pytest.mark.slow),
        pytest.param(["tree", "/docs"], 2, marks=pytest.mark.slow),
        (["mirror", "../x"], 2),
        pytest.param(["mirror", "a", "b"], 2, marks=pytest.mark.slow),
        pytest.param(["get"], 2, marks=pytest.mark.slow),
        pytest.param(["get", "a.txt", "--sha256", "12"], 2, marks=pytest.mark.slow),
        pytest.param(["get", "a.txt", "docs/1.txt", "--sha256", "0" * 64], 2, marks=pytest.mark.slow),
        (["get", "a.txt", "--sums", "missing"], 8),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_and_nothing_is_saved(
    tmp_path: Path, server: ServerProcess, arguments: list[str], code: int
) -> None:
    done = client(tmp_path, server, *arguments)
    assert (done.returncode, here(tmp_path)) == (code, {})
    assert done.stderr.startswith((b"chatfile-client: ", b"usage: "))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["get", "docs/1.txt"], ["docs/1.txt"]),
        pytest.param(
            ["get", "docs/1.txt", "other/big", "a.txt"], ["docs/1.txt", "other/big", "a.txt"], marks=pytest.mark.slow
        ),
        (["get", "docs/*"], ["docs/1.txt", "docs/2 b.txt"]),
        pytest.param(["get", "*/*.txt", "*"], ["docs/1.txt", "docs/2 b.txt", "a.txt"], marks=pytest.mark.slow),
        pytest.param(["get", "docs/*/x"], ["docs/deep/x"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_paths_are_fetched_to_the_same_paths_here(
    tmp_path: Path, server: ServerProcess, arguments: list[str], names: list[str]
) -> None:
    done = client(tmp_path, server, *arguments)
    assert (done.returncode, lines(done)) == (0, [f"client_downloads/{name}" for name in names])
    assert here(tmp_path) == {name: FILES[name] for name in names}
    assert client(tmp_path, server, *arguments).returncode == 0


@pytest.mark.slow
def test_a_path_can_be_saved_under_a_name_or_go_to_standard_output(tmp_path: Path, server: ServerProcess) -> None:
    assert client(tmp_path, server, "get", "docs/1.txt", "-o", "mine").returncode == 0
    assert (tmp_path / "mine").read_bytes() == FILES["docs/1.txt"]
    assert client(tmp_path, server, "get", "docs/1.txt", "-o", "-").stdout == FILES["docs/1.txt"]


@pytest.mark.parametrize(
    ("arguments", "code"), [(["get", "a/b"], 2), (["get", "a/*"], 2), (["hash", "a/b"], 2), (["tree"], 5)]
)
def test_a_server_without_subfolders_has_no_paths(
    tmp_path: Path, flat: ServerProcess, arguments: list[str], code: int
) -> None:
    assert client(tmp_path, flat, *arguments).returncode == code


# --- mirrors ---


def test_a_mirror_is_whole_and_the_second_costs_nothing(tmp_path: Path, server: ServerProcess) -> None:
    planned = client(tmp_path, server, "mirror", "-n")
    assert (lines(planned), here(tmp_path)) == ([f"fetch {name}" for name in FILES], {})
    assert client(tmp_path, server, "mirror").returncode == 0
    assert here(tmp_path) == FILES
    again = client(tmp_path, server, "mirror", "--delete")
    assert (again.returncode, again.stdout) == (0, b"")
    assert again.stderr == f"{len(FILES)} the same.\n".encode()


@pytest.mark.slow
def test_a_folder_is_mirrored_with_patterns_into_another_one(tmp_path: Path, server: ServerProcess) -> None:
    arguments = ["mirror", "docs/", "-d", "copy", "--exclude", "deep", "--include", "*.txt"]
    assert client(tmp_path, server, *arguments).returncode == 0
    assert here(tmp_path, "copy") == {"1.txt": b"one", "2 b.txt": b"two"}


def test_what_is_gone_is_removed_what_is_mine_stays_and_programs_are_told(tmp_path: Path, served: Path) -> None:
    own = tmp_path / "own"
    (own / "docs").mkdir(parents=True)
    for name in ("a", "b", "docs/c"):
        (own / name).write_bytes(name.encode())
    with ServerProcess(own, "--recursive") as server:
        client(tmp_path, server, "mirror")
        for name in ("a", "docs/c"):
            (own / name).unlink()
        (own / "b").write_bytes(b"other")
        (tmp_path / "client_downloads/b").write_bytes(b"mine")
        (tmp_path / "client_downloads/mine").write_bytes(b"mine")
        done = client(tmp_path, server, "--json", "mirror", "--delete")
        objects = [json.loads(line) for line in lines(done)]
        assert done.returncode == 8
        assert [(each.get("event"), each.get("name"), each.get("outcome")) for each in objects] == [
            ("removed", "a", "removed"),
            ("removed", "docs/c", "removed"),
            ("error", "b", None),
            ("mirrored", None, None),
        ]
        assert {name: objects[-1][name] for name in ("fetched", "same", "removed", "kept", "failed")} == {
            "fetched": 0, "same": 0, "removed": 2, "kept": 0, "failed": 1,
        }  # fmt: skip
        assert here(tmp_path) == {"b": b"mine", "mine": b"mine"}
        assert client(tmp_path, server, "mirror", "--force").returncode == 0
        assert here(tmp_path) == {"b": b"other", "mine": b"mine"}


@pytest.mark.slow
def test_a_flat_server_is_mirrored_flat(tmp_path: Path, flat: ServerProcess) -> None:
    assert client(tmp_path, flat, "mirror").returncode == 0
    assert here(tmp_path) == {"a.txt": FILES["a.txt"]}


def test_in_lines_the_same_words_do_the_same(tmp_path: Path, server: ServerProcess) -> None:
    asked = (
        *("tree docs/deep", "tree house", "mirror docs -n", "mirror other", "get docs/1.txt", "get *.txt --checksum"),
        *("sums docs/*", "mirror --bad"),
    )
    done = client(tmp_path, server, stdin="".join(f"{line}\n" for line in asked))
    assert done.returncode == 2
    assert "tree house ACK" in lines(done)
    assert here(tmp_path) == {"big": FILES["other/big"], "docs/1.txt": b"one", "a.txt": FILES["a.txt"]}
    assert lines(done)[-2:] == SUMS.decode().splitlines()[1:3]


# --- digests from elsewhere ---


def test_a_list_is_written_published_and_kept_to(tmp_path: Path, served: Path, server: ServerProcess) -> None:
    assert client(tmp_path, server, "sums").stdout == SUMS
    (tmp_path / "SUMS").write_bytes(SUMS.replace(b"docs/1.txt", b"docs/9.txt").replace(b"0", b"1", 1))
    done = client(tmp_path, server, "get", "--sums", "SUMS")
    assert done.returncode in (5, 7)
    (tmp_path / "SUMS").write_bytes(SUMS)
    assert client(tmp_path, server, "get", "--sums", "SUMS").returncode == 0
    assert here(tmp_path) == FILES
    nobody = run_client(tmp_path, "-s", "127.0.0.1:1", "get", "--sums", "SUMS")
    assert (nobody.returncode, len(nobody.stdout.splitlines())) == (0, len(FILES))


def test_a_file_that_is_not_the_one_is_not_kept(tmp_path: Path, server: ServerProcess) -> None:
    right, wrong = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
    assert client(tmp_path, server, "get", "docs/1.txt", "--sha256", wrong).returncode == 7
    assert here(tmp_path) == {}
    assert client(tmp_path, server, "get", "docs/1.txt", "--sha256", wrong, "-o", "-").returncode == 7
    assert client(tmp_path, server, "get", "docs/1.txt", "--sha256", right.upper()).returncode == 0
    assert here(tmp_path) == {"docs/1.txt": b"one"}


@pytest.mark.parametrize(("line", "code"), [(f"{'0' * 64}  ../x", 2), ("nonsense", 2), (f"{'0' * 64}  docs/1.txt", 7)])
def test_a_list_is_data_that_is_not_trusted(tmp_path: Path, server: ServerProcess, line: str, code: int) -> None:
    (tmp_path / "SUMS").write_text(f"{line}\n")
    assert client(tmp_path, server, "get", "--sums", "SUMS").returncode == code
    assert here(tmp_path) == {}


def test_a_name_that_a_list_lacks_is_refused(tmp_path: Path, server: ServerProcess) -> None:
    (tmp_path / "SUMS").write_bytes(SUMS.splitlines(keepends=True)[0])
    for name in ("docs/1.txt", "docs/*"):
        assert client(tmp_path, server, "get", "--sums", "SUMS", name).returncode == 2
    assert here(tmp_path) == {}
