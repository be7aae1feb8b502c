"""The files of `deploy/`: sockets passed on as systemd does it, units that systemd finds right, a plain Dockerfile."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet import endpoints
from twisted.python.systemd import ListenFDs
from twisted.python.usage import UsageError

from chatfile.options import DEFAULT_PORT, Options
from tests.support import ROOT
from tests.support.processes import PATIENCE, RawClient
from tests.support.started import program

DEPLOY = ROOT / "deploy"
CLUSTER = "chatfile-cluster.conf"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def unit(name: str) -> RawConfigParser:
    """A unit, of which settings that stand more than once have the last value."""
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(DEPLOY / name)
    return parser


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@contextmanager
def activated(
    listening: socket.socket, served: Path, names: str = "chatfile.socket"
) -> Iterator[subprocess.Popen[bytes]]:
    """The command of the unit, with the socket handed on as systemd does: as descriptor 3, to this very process."""
    _, *options = shlex.split(unit("chatfile.service")["Service"]["ExecStart"])
    options[options.index("/srv/chatfile")] = str(served)
    options[options.index("/var/lib/chatfile")] = str(served.parent / "state")
    start = ["sh", "-c", 'LISTEN_PID=$$ exec "$@" 3<&0 0</dev/null', "sh", program("chatfile-server"), *options]
    environment = os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": names}
    with subprocess.Popen(start, stdin=listening, stdout=subprocess.PIPE, env=environment, cwd="/") as process:
        try:
            yield process
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in output, output


def test_the_unit_serves_at_the_socket_that_it_is_given(listening: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with RawClient(listening.getsockname()[1]) as client, activated(listening, tmp_path):
        client.send(b"get a\nstatus\nexit\n")
        welcome, header, _, _, row, _ = client.rest().splitlines()
        address = "{}:{}".format(*client.socket.getsockname())
    assert (welcome, header.split()[0]) == (b"WELCOME Client01 chatfile/1", b"FILE")
    assert row.split()[1] == address.encode()


def test_a_socket_without_a_name_is_served_at(listening: socket.socket, tmp_path: Path) -> None:
    with RawClient(listening.getsockname()[1]) as client, activated(listening, tmp_path, names=""):
        assert client.line() == b"WELCOME Client01 chatfile/1"


@pytest.mark.slow
def test_who_comes_during_a_restart_is_not_refused(listening: socket.socket, tmp_path: Path) -> None:
    port = listening.getsockname()[1]
    with activated(listening, tmp_path), RawClient(port) as client:
        assert client.line() == b"WELCOME Client01 chatfile/1"
    with RawClient(port) as waiting, activated(listening, tmp_path):
        assert waiting.line() == b"WELCOME Client01 chatfile/1"


def refusal(*arguments: str) -> str:
    with pytest.raises(UsageError) as raised:
        Options().parseOptions(arguments)
    return str(raised.value)


def test_without_a_socket_from_systemd_it_says_so() -> None:
    for which in ("index=0", "name=chatfile.socket"):
        assert "LISTEN_FDNAMES" in refusal("-p", f"systemd:domain=INET:{which}")


def test_a_socket_of_another_family_would_have_made_up_addresses_and_is_refused(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints._SystemdParser, "_sddaemon", ListenFDs([listening.fileno()]))
    for domain in ("INET6", "UNIX"):
        assert "domain=INET" in refusal("-p", f"systemd:domain={domain}:index=0").split(";")[-1]


def test_what_is_passed_and_is_no_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(endpoints._SystemdParser, "_sddaemon", ListenFDs([file.fileno()]))
        assert "no socket" in refusal("-p", "systemd:domain=INET:index=0")


def test_digests_survive_where_the_service_may_write() -> None:
    service = unit("chatfile.service")["Service"]
    _, *options = shlex.split(service["ExecStart"])
    assert options[options.index("--state") + 1] == f"/var/lib/{service['StateDirectory']}"
    assert service["StateDirectoryMode"] == "0700"


def test_the_units_fit_each_other_and_the_server() -> None:
    service, listener = unit("chatfile.service"), unit("chatfile.socket")
    assert listener["Socket"]["ListenStream"] == f"127.0.0.1:{DEFAULT_PORT}"
    assert service["Unit"]["Wants"] == service["Unit"]["After"] == "chatfile.socket"
    drain = next(default for name, _, default, _ in Options.optParameters if name == "drain-timeout")
    assert int(service["Service"]["TimeoutStopSec"]) > int(str(drain))


def test_the_server_may_do_what_systemd_waits_for() -> None:
    for service in (unit("chatfile.service")["Service"], unit(CLUSTER)["Service"]):
        assert "AF_UNIX" in service["RestrictAddressFamilies"].split()
    service = unit("chatfile.service")["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["ExecReload"] == f"kill -{signal.SIGHUP.name.removeprefix('SIG')} $MAINPID"


def test_a_node_of_several_is_the_same_service_at_a_port_of_its_own() -> None:
    alone, node = (shlex.split(unit(name)["Service"]["ExecStart"]) for name in ("chatfile.service", CLUSTER))
    assert node[0] == alone[0]
    port = alone.index("--port") + 1
    assert alone[port].startswith("systemd:")
    assert node[: len(alone)] == [*alone[:port], "tcp:5000:interface=10.0.0.1", *alone[port + 1 :]]
    added = dict(option.split("=", 1) for option in node[len(alone) :])
    assert added == {
        "--cluster": "@${CREDENTIALS_DIRECTORY}/engine",
        "--proxy-protocol-from": "10.0.0.10",
        "--metrics": "tcp:9100:interface=10.0.0.1",
    }


def test_only_those_who_have_to_do_with_a_node_reach_it() -> None:
    node = unit(CLUSTER)["Service"]
    assert node["LoadCredential"].split(":")[0] == "engine"
    assert node["IPAddressDeny"] == "any"
    assert set(node["IPAddressAllow"].split()) == {"10.0.0.10", "10.0.0.20", "10.0.0.30"}


ALONE = {"chatfile.service": "chatfile.service", "chatfile.socket": "chatfile.socket"}
NODE = {"chatfile.service": "chatfile.service", CLUSTER: f"chatfile.service.d/{CLUSTER}"}
"""The files of a node of several, and where they are installed; it has no socket unit."""


@pytest.fixture(params=[ALONE, NODE], ids=["alone", "node"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the units, in which the server is where it is on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    (tmp_path / "chatfile.service.d").mkdir()
    for name, place in request.param.items():
        text = (DEPLOY / name).read_text()
        (tmp_path / place).write_text(
            text.replace("=/opt/chatfile/bin/chatfile-server", f"={program('chatfile-server')}")
        )
    return tmp_path


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is too old here")
    assert done.returncode == 0, done
    return done.stderr


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    said = analyze("verify", "--man=no", *map(str, sorted(installed.glob("chatfile.*[et]"))))
    assert "chatfile" not in said


def test_systemd_finds_the_service_safe(installed: Path) -> None:
    threshold = 14 if any((installed / "chatfile.service.d").iterdir()) else 7
    analyze("security", "--offline=true", f"--threshold={threshold}", str(installed / "chatfile.service"))


def instructions() -> dict[str, str]:
    """The last of each instruction of the Dockerfile."""
    return dict(line.split(" ", 1) for line in DOCKERFILE.splitlines() if re.match("[A-Z]+ ", line))


def test_the_image_has_what_the_wheel_is_made_of_and_starts_as_nobody() -> None:
    copied = {word for line in DOCKERFILE.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert copied >= {"pyproject.toml", "README.md", "LICENSE", "chatfile", "twisted", "deploy/man"}
    assert instructions()["USER"] == "65534:65534"


def test_the_image_serves_its_volume_at_its_port(tmp_path: Path) -> None:
    last = instructions()
    command, *options = json.loads(last["ENTRYPOINT"])
    assert command == "chatfile-server"
    assert last["VOLUME"] in options
    parsed = Options()
    parsed.parseOptions([str(tmp_path) if option == last["VOLUME"] else option for option in options])
    assert (parsed["endpoints"], parsed["folder"]) == ([f"tcp:{last['EXPOSE']}:interface=0.0.0.0"], str(tmp_path))


def test_hadolint_finds_nothing_wrong_with_the_image() -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("there is no hadolint here")
    subprocess.run(["hadolint", str(DEPLOY / "Dockerfile")], check=True, timeout=PATIENCE)
