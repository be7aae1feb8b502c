"""The files of `deploy/cluster`: what they say fits together, and HAProxy does what the docs promise."""

from __future__ import annotations

import hashlib
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatfile.options import Options
from tests.support import ROOT
from tests.support.haproxy import HAPROXY, HAProxy, needs_haproxy
from tests.support.nodes import WELCOME, Node
from tests.support.processes import PATIENCE, RawClient, client_command, wait_until
from tests.support.redis import Redis, needs_redis

DEPLOY = ROOT / "deploy" / "cluster"
CONFIGURATION = (DEPLOY / "haproxy.cfg").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("node-")}
UNKNOWN = b"PROXY UNKNOWN\r\n"
CONTENT = hashlib.shake_128(b"chatfile").digest(30_000_000)


def parsed(options: list[str], served: Path) -> Options:
    found = Options()
    found.parseOptions(["--files", str(served), *options])
    return found


def addresses() -> dict[str, str]:
    return {name: SERVICES[name]["networks"]["nodes"]["ipv4_address"] for name in (*NODES, "haproxy")}


def test_the_nodes_are_alike_and_their_options_are_understood(tmp_path: Path) -> None:
    commands = [node["command"] for node in NODES.values()]
    assert len(commands) == 2
    assert commands[0] == commands[1]
    node = parsed(commands[0], tmp_path)
    assert node["engine"].hosts == (("valkey", 6379),)
    assert [str(each) for each in node["proxies"].networks] == [f"{addresses()['haproxy']}/32"]
    assert all(int(each["stop_grace_period"].removesuffix("s")) > node["drain-timeout"] for each in NODES.values())


def test_haproxy_sends_to_the_nodes_and_asks_their_metrics_port(tmp_path: Path) -> None:
    node = parsed(NODES["node-a"]["command"], tmp_path)
    servers = re.findall(r"^ +server \S+ (\S+):(\d+) check port (\d+)$", CONFIGURATION, re.MULTILINE)
    metrics = node["metrics-endpoint"].split(":")[1]
    assert servers == [(addresses()[name], "5000", metrics) for name in NODES]
    assert int(re.search(r"maxconn (\d+) send", CONFIGURATION)[1]) > node["max-clients"]  # type: ignore[index]
    assert "on-marked-down shutdown-sessions" in CONFIGURATION
    assert "http-check disable-on-404" in CONFIGURATION


def test_only_haproxy_is_reached_from_outside_and_only_from_this_machine() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"haproxy"}
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["haproxy"]["ports"])
    (nodes,) = COMPOSE["networks"]["nodes"]["ipam"]["config"]
    assert COMPOSE["networks"]["nodes"]["internal"]
    assert all(ip_address(each) in ip_network(nodes["subnet"]) for each in addresses().values())


def test_whatever_is_mounted_or_built_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), volume
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).exists()
            assert "ARG EXTRAS" in (context / service["build"]["dockerfile"]).read_text()


def test_nobody_in_a_container_may_more_than_it_has_to() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_unit_of_a_node_has_options_that_are_understood(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "chatfile-cluster.conf").read_text()
    (tmp_path / "engine").write_text("redis://chatfile:secret@10.0.0.20/0\n")
    (tmp_path / "served").mkdir()
    command = re.findall(r"^ExecStart=(\S.*)$", unit, re.MULTILINE)[-1]
    _, *options = shlex.split(command.replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)))
    at = options.index("/srv/chatfile")
    options[at] = str(tmp_path / "served")
    options[options.index("/var/lib/chatfile")] = str(tmp_path / "state")
    found = Options()
    found.parseOptions(options)
    assert (found["engine"].user, found["engine"].database) == ("chatfile", 0)
    assert str(found["proxies"].networks[0]) == "10.0.0.10/32"
    assert "pip install '.[cluster]'" in unit, "what such options need is set up with it"


@needs_haproxy
def test_haproxy_finds_its_configuration_right() -> None:
    subprocess.run(
        [str(HAPROXY), "-c", "-f", DEPLOY / "haproxy.cfg"], check=True, timeout=PATIENCE, capture_output=True
    )


# --- run with the programs of this machine ---


class Cluster:
    """Two nodes, the engine and HAProxy, as `deploy/cluster` has them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        (folder / "served").mkdir()
        (folder / "served" / "big").write_bytes(CONTENT)
        self.redis = stack.enter_context(Redis(folder / "redis"))
        options = ["--proxy-protocol-from=127.0.0.1", "--metrics=0"]
        nodes = (Node(folder / "served", self.redis.url, *options, limit=10, lease=3, header=UNKNOWN) for _ in range(2))
        self.nodes = [stack.enter_context(node) for node in nodes]
        self.proxy = stack.enter_context(HAProxy(folder / "haproxy", self._configuration()))
        self.port = self.proxy.port
        for name in "ab":
            self.waits_for(name, "UP")

    def _configuration(self) -> str:
        text = CONFIGURATION.replace("bind :5000", "bind fd@${FRONTEND}").replace("inter 1s", "inter 100ms")
        for node, name in zip(self.nodes, NODES, strict=True):
            address = addresses()[name]
            metrics = node.log_until(r"Metrics at 127\.0\.0\.1:(\d+)")
            text = text.replace(f"{address}:5000 check port 9100", f"127.0.0.1:{node.port} check port {metrics}")
        return text

    def waits_for(self, name: str, *states: str) -> None:
        """Wait until HAProxy takes a node for one of these."""
        wait_until(lambda: self.proxy.stat(f"nodes/{name}")["status"].startswith(states))

    def enter(self) -> tuple[RawClient, bytes, str]:
        """A client that is let in, its name, and the node that has it, as the engine knows that.

        One that meets a node in the very moment in which it closes its port has to come again.
        """
        let_in: list[tuple[RawClient, bytes]] = []

        def is_let_in() -> bool:
            client = RawClient(self.port)
            line = client.line()
            if line.startswith(WELCOME):
                let_in.append((client, line.split()[1]))
            else:
                client.close()
            return bool(let_in)

        wait_until(is_let_in)
        ((client, name),) = let_in
        row = self.redis.ask("HGET", self.redis.key("rows"), int(name.removeprefix(b"Client")))
        return client, name, row.split()[0]

    def has_client(self) -> Node:
        """The node that has the first client."""
        wait_until(lambda: any(map(_has_client, self.nodes)))
        return next(node for node in self.nodes if _has_client(node))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        made = Cluster(tmp_path, stack)
        while True:  # nobody is let in before the nodes have told who is inside
            with RawClient(made.port) as client:
                if client.line().startswith(WELCOME):
                    break
        wait_until(lambda: any(" left: " in node.log for node in made.nodes))
        yield made


@pytest.mark.slow
@needs_haproxy
@needs_redis
def test_a_node_is_updated_without_cutting_a_download_and_who_comes_is_let_in_by_another(cluster: Cluster) -> None:
    reader, first, its_node = cluster.enter()
    leaving = cluster.has_client()
    reader.send(b"get big\n")
    header = reader.line()
    got = reader.read(1_000_000)
    leaving.process.send_signal(signal.SIGTERM)
    for _ in range(20):
        client, name, node = cluster.enter()  # whoever comes is let in, by the other one
        assert (node == its_node, name == first) == (False, False)
        client.close()
    cluster.waits_for("ab"[cluster.nodes.index(leaving)], "NOLB", "DOWN")
    for _ in range(5):
        client, _, node = cluster.enter()
        assert node != its_node
        client.close()
    got += reader.read(len(CONTENT) - len(got))
    assert header.startswith(b"FILE %d " % len(CONTENT))
    assert got == CONTENT
    assert reader.line() == b"END " + hashlib.sha256(CONTENT).hexdigest().encode()
    assert reader.line().startswith(b"ERROR shutdown ")
    reader.close()
    assert leaving.ended() == -signal.SIGTERM
    wait_until(lambda: cluster.redis.taken == 0)


@pytest.mark.slow
@needs_haproxy
@needs_redis
def test_a_download_whose_node_is_killed_goes_on_at_another_and_is_verified(cluster: Cluster, tmp_path: Path) -> None:
    command = client_command("-s", f"127.0.0.1:{cluster.port}", "--limit-rate", "10M", "get", "big")
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as downloading:
        part = tmp_path / "client_downloads" / ".big.part"
        wait_until(lambda: part.exists() and part.stat().st_size > 1_000_000)
        has_it = cluster.has_client()
        has_it.process.kill()
        _, said = downloading.communicate(timeout=PATIENCE)
    assert downloading.returncode == 0, said
    assert (tmp_path / "client_downloads" / "big").read_bytes() == CONTENT
    other = next(node for node in cluster.nodes if node is not has_it)
    assert re.search(rf"was sent (\d+) of (?!{len(CONTENT)}\b)\d+ bytes of big", other.log), "it began anew"


def _has_client(node: Node) -> bool:
    """Whether a client that it let in has not left."""
    return node.log.count(" is admitted ") > node.log.count(" left: ")
