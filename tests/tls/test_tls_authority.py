"""The private authority of `docs/tls.md`, made word for word."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import pytest_twisted

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from chatfile import tls
from chatfile.client import connect
from tests.support import ROOT
from tests.support.encrypted import EncryptedServer

DOCUMENT = ROOT / "docs" / "tls.md"
COMMANDS = re.findall(r"^openssl .*$", DOCUMENT.read_text(), re.MULTILINE)


def openssl_version() -> int:
    if shutil.which("openssl") is None:
        return 0
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"OpenSSL (\d+)", said)
    return int(found[1]) if found else 0


@pytest.mark.slow
@pytest.mark.skipif(openssl_version() < 3, reason="the commands are those of OpenSSL 3")
@pytest_twisted.ensureDeferred
async def test_four_commands_make_certificates_for_both_ends(tmp_path: Path) -> None:
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    made = {path.name: path for path in tmp_path.iterdir()}
    server = EncryptedServer(tmp_path, made["server.pem"], made["ca.pem"], made["server.key"])
    own = {"certificate": str(made["alice.pem"]), "key": str(made["alice.key"])}
    client = await connect(tls.client_endpoint("127.0.0.1", server.port, cafile=str(made["ca.pem"]), **own))
    await client.exit()
    await server.end()
