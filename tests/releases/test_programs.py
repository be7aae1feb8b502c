"""The programs of the last release and those of today: each client at the other's server, and the same for scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.server import FILES
from tests.releases.versions import Environment, OneSeat, Pair
from tests.support import ROOT
from tests.support.processes import PATIENCE, ServerProcess, client_command, run_client
from tests.support.trees import tree

SLOW = pytest.mark.slow
Environments = dict[str, Environment]
Servers = dict[str, OneSeat]
Run = Callable[..., "tuple[int, str, str]"]
BIN = Path(sys.executable).parent


@pytest.fixture
def run(environments: Environments, tmp_path: Path) -> Run:
    """Run a program of either version in an empty folder: its exit code, its output, and what it said beside that."""

    def to_its_end(version: str, *command: object, said: str = "") -> tuple[int, str, str]:
        done = subprocess.run(
            [*map(str, command)], cwd=tmp_path, input=said, capture_output=True, text=True, timeout=PATIENCE,
            check=False, env={**os.environ, **environments[version]},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return to_its_end


def test_the_code_of_each_version_is_what_runs(run: Run, environments: Environments) -> None:
    where = [sys.executable, "-c", "import chatfile; print(chatfile.__file__)"]
    assert run("old", *where)[1].startswith(environments["old"]["PYTHONPATH"])
    assert run("new", *where)[1].startswith(str(ROOT))


@SLOW
def test_the_server_of_the_last_release_is_what_twistd_starts(run: Run) -> None:
    assert run("old", BIN / "twistd", "chatfile", "--version")[1] == "chatfile 0.1.0\n"


def test_a_client_fetches_from_a_server_of_the_other_version(
    environments: Environments, one_seat: Servers, tmp_path: Path
) -> None:
    for client, server in (("old", "new"), ("new", "old")):
        command = ["get", *FILES, "-s", one_seat[server].address, "-d", client]
        done = run_client(tmp_path, *command, environment=environments[client])
        found = {name: content for name, content in tree(tmp_path / client).items() if isinstance(content, bytes)}
        assert (done.returncode, found) == (0, FILES), done.stderr


# --- for scripts ---

TOLD = """hello
list
list *a*
tree
tree f/
get a f/g
get a
hash a *
sums
status
help
get missing
hash
send status
mirror -n
lists
"""
"""Piped lines: one of each command, and some that go wrong."""


def records(output: str) -> list[dict[str, Any]]:
    """The objects of the output, as far as they don't hang on time; of `status`, which keys its rows have."""
    found: list[dict[str, Any]] = []
    for line in output.splitlines():
        fields = json.loads(line)
        fields = dict.fromkeys(fields) if "connected" in fields else fields | dict.fromkeys({"seconds"} & fields.keys())
        if fields not in found[-1:]:  # as many rows of `status` as there were clients
            found.append(fields)
    return found


@SLOW
@pytest.mark.parametrize("server", ["old", "new"])
def test_piped_lines_have_the_output_that_scripts_know(
    run: Run, one_seat: Servers, tmp_path: Path, server: str
) -> None:
    def told(version: str) -> list[dict[str, Any]]:
        status, output, _ = run(version, *client_command("--json", "-q", "-s", one_seat[server].address), said=TOLD)
        assert status == 5
        shutil.rmtree(tmp_path / "client_downloads")
        return records(output)

    old, new = told("old"), told("new")
    assert len(old) > len(TOLD.splitlines())
    assert new == old


COMMANDS = {
    "list a*": 0,
    "sums": 0,
    "get a -o -": 0,
    "list --no-such-option": 2,
    "list -s unix:nobody": 3,
    "hash missing --json": 5,
    f"get a --sha256 {'0' * 64}": 7,
    "get a -d mine": 8,
}
"""And with which code they end."""


@SLOW
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:20])
def test_a_command_has_the_output_and_the_exit_code_that_scripts_know(
    run: Run, one_seat: Servers, tmp_path: Path, command: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_bytes(b"another file")
    called = client_command("-q", "-s", one_seat["new"].address, *command.split())
    old, new = run("old", *called), run("new", *called)
    assert (new, new[0]) == (old, COMMANDS[command])


@SLOW
@pytest.mark.parametrize("program", ["chatfile-client", "chatfile-server"])
def test_whatever_option_there_was_there_is(run: Run, program: str) -> None:
    old, new = (run(version, BIN / program, "--help")[1].splitlines() for version in ("old", "new"))
    after = iter(new)
    assert [line for line in old if line not in after] == []


LIBRARY = """
import importlib, inspect, re
for name in ("client", "downloads", "errors", "tls", "timeouts"):
    module = importlib.import_module(f"chatfile.{name}")
    for public, what in vars(module).items():
        if not public.startswith("_") and getattr(what, "__module__", "").startswith(module.__name__):
            members = vars(what) if inspect.isclass(what) else {"__call__": what}
            for member, value in members.items():
                if callable(value) and (member in ("__call__", "__init__") or not member.startswith("_")):
                    print(re.sub(" at 0x[0-9a-f]+", "", f"{name}.{public}.{member}{inspect.signature(value)}"))
"""
"""What programs that use the library can call, and with what."""


@SLOW
def test_whatever_the_library_could_be_asked_it_can(run: Run) -> None:
    old, new = (set(run(version, sys.executable, "-c", LIBRARY)[1].splitlines()) for version in ("old", "new"))
    assert len(old) > 50
    assert old - new == set()


# --- a full server, and an encrypted one ---


@SLOW
def test_a_client_waits_in_the_line_of_a_server_of_the_other_version(
    environments: Environments, one_seat: Servers, tmp_path: Path
) -> None:
    for client, server in (("old", "new"), ("new", "old")):
        command = client_command("-s", one_seat[server].address, "--json", "--wait", PATIENCE, "send", "hi")
        env = {**os.environ, **environments[client]}
        with (
            one_seat[server].taken() as holder,
            subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process,
        ):
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["position"] == 1
            holder.close()
            assert json.loads(process.stdout.readline()) == {"message": "hi", "reply": "hi ACK"}
            assert process.wait(PATIENCE) == 0


@SLOW
def test_a_client_trusts_an_encrypted_server_of_the_other_version(pair: Pair, tmp_path: Path) -> None:
    pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
    from tests.support.certificates import Authority

    authority = Authority(tmp_path, "authority")
    served, content = tmp_path / "served", os.urandom(1_000_000)
    served.mkdir()
    (served / "a").write_bytes(content)
    options = [f"--certificate={authority.issue('server')}", f"--client-ca={authority.path}"]
    with ServerProcess(served, *options, environment=pair.server) as server:
        port, server.port = server.port, 0  # nobody may ask there, plainly, for who is still connected
        trusting = ["--cafile", authority.path, "--cert", authority.issue("client", None)]
        got = run_client(tmp_path, "get", "a", "-s", f"tls:localhost:{port}", *trusting, environment=pair.client)
    assert (got.returncode, (tmp_path / "client_downloads" / "a").read_bytes()) == (0, content), got.stderr
