"""What one version keeps on the disk, and the other goes on with: part files and notes, mirrors, digests; both ways."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.releases.versions import ENOUGH, Environment, Pair, end_amid
from tests.service.test_state import CONTENT, download
from tests.service.test_wall_clock import HOUR, stepping
from tests.support.processes import ServerProcess, run_client
from tests.support.trees import plant, tree

pytestmark = pytest.mark.slow

FILES = {"a": b"one", "big": CONTENT, "docs/b": b"two", "docs/c": b"three"}


@pytest.fixture
def server(pair: Pair, tmp_path: Path) -> Iterator[ServerProcess]:
    served = tmp_path / "served"
    served.mkdir()
    for path, content in FILES.items():
        plant(served, path, content)
    with ServerProcess(served, "--recursive", environment=pair.server) as server:
        yield server


def ask(work: Path, server: ServerProcess, *arguments: str, environment: Environment) -> list[dict[str, object]]:
    """What a client tells of a command that succeeds."""
    done = run_client(work, "-s", f"127.0.0.1:{server.port}", "--json", "-q", *arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    """Those that are not the client's own."""
    found = tree(folder)
    return {path: content for path, content in found.items() if isinstance(content, bytes) and path[0] != "."}


def test_a_download_that_was_killed_is_resumed_by_the_other_version(
    pair: Pair, server: ServerProcess, tmp_path: Path
) -> None:
    work, folder = tmp_path / "work", tmp_path / "work" / "client_downloads"
    work.mkdir()
    address = ["-s", f"127.0.0.1:{server.port}"]
    end_amid(signal.SIGKILL, folder / ".big.part", work, *address, "get", "big", environment=pair.other_client)
    assert set(tree(folder)) == {".big.part", ".big.note"}
    [told] = ask(work, server, "get", "big", environment=pair.client)
    assert told["verified"]
    assert int(str(told["resumed_from"])) > ENOUGH
    assert tree(folder) == {"big": CONTENT}


def test_a_mirror_is_gone_on_with_by_the_other_version(pair: Pair, server: ServerProcess, tmp_path: Path) -> None:
    work, copy, served = tmp_path / "work", tmp_path / "work" / "client_downloads", tmp_path / "served"
    work.mkdir()
    address = ["-s", f"127.0.0.1:{server.port}"]

    def mirror(environment: Environment) -> list[int]:
        told = ask(work, server, "mirror", "--delete", environment=environment)[-1]
        return [int(str(told[name])) for name in ("fetched", "same", "removed", "kept")]

    end_amid(signal.SIGINT, copy / ".big.part", work, *address, "mirror", environment=pair.other_client)
    assert mirror(pair.client) == [3, 1, 0, 0]
    assert files(copy) == FILES
    (served / "a").write_bytes(b"another one")
    (served / "docs" / "b").unlink()
    (served / "docs" / "c").unlink()
    (copy / "docs" / "c").write_bytes(b"mine")
    assert mirror(pair.other_client) == [1, 1, 1, 1]
    assert files(copy) == {"a": b"another one", "big": CONTENT, "docs/c": b"mine"}
    assert mirror(pair.client) == [0, 2, 0, 0]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not tell what is read")
def test_digests_that_one_version_has_kept_are_known_to_the_other(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a").write_bytes(CONTENT)
    costs = []
    for environment in (pair.other_client, pair.client):
        clock = stepping(HOUR)  # every file has been there for long
        paths = os.pathsep.join(filter(None, [clock["PYTHONPATH"], environment.get("PYTHONPATH")]))
        both = {**environment, **clock, "PYTHONPATH": paths}
        options = f"--state={tmp_path / 'state'}"
        with ServerProcess(tmp_path / "served", options, environment=both, ready="(?i)digests are known") as server:
            costs.append([download(server), download(server)])
            server.process.terminate()
            server.ended()
    (hashed, known), again = costs
    assert hashed > known
    assert again == [known, known]
