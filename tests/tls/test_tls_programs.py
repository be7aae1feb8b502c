"""Both programs over TLS, as people start them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from tests.support.certificates import Papers
from tests.support.processes import ServerProcess, run_client
from tests.support.started import said

CONTENT = os.urandom(1_000_000)


class EncryptedProcess(ServerProcess):
    """With a certificate; at `ports`, everyone speaks TLS."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self.ports = [int(port) for port in re.findall(r"starting on (\d+)", self.log)]
        self.port = 0  # nobody may ask there, plainly, for who is still connected


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a file").write_bytes(CONTENT)
    return Papers(tmp_path)


def test_certificates_on_both_ends_let_in_and_keep_out(tmp_path: Path, papers: Papers) -> None:
    options = [f"--certificate={papers.good}", f"--client-ca={papers.ours}", "-p", "0", "-p", f"unix:{tmp_path}/socket"]
    with EncryptedProcess(tmp_path / "served", *options) as server:
        described, bare = server.ports
        trusting = ["-s", f"tls:localhost:{bare}", "--cafile", papers.ours]
        got = run_client(tmp_path, "get", "a file", *trusting, "--cert", papers.client)
        assert (got.returncode, (tmp_path / "client_downloads" / "a file").read_bytes()) == (0, CONTENT)
        refused = run_client(tmp_path, "list", *trusting, "-s", f"tls:localhost:{described}")
        assert (refused.returncode, refused.stdout, refused.stderr.count(b"\n")) == (3, b"", 1)
        assert said(tmp_path / "socket", b"hello")[1] == b"hello ACK"


def test_a_file_that_is_not_there_ends_the_client_with_one_line(tmp_path: Path, papers: Papers) -> None:
    ended = run_client(tmp_path, "list", "-s", "tls:localhost", "--cafile", "missing")
    assert (ended.returncode, ended.stdout, ended.stderr.count(b"\n")) == (2, b"", 1)


@pytest.mark.slow
def test_a_server_with_an_expired_certificate_serves_and_warns(tmp_path: Path, papers: Papers) -> None:
    with EncryptedProcess(tmp_path / "served", f"--certificate={papers.kinds['expired']}") as server:
        server.log_until(r"#warn\] .*expired.pem")
        refused = run_client(tmp_path, "list", "-s", f"tls:localhost:{server.ports[0]}", "--cafile", papers.ours)
        assert (refused.returncode, refused.stdout) == (3, b"")
