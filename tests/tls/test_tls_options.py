"""What can be said of TLS to either program, and what is wrong with files, told before anything is opened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")

from chatfile import errors, tls
from chatfile.cli.arguments import parse_arguments
from chatfile.options import Options
from tests.support.certificates import Papers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With files of which each is wrong in its own way."""
    made = tmp_path_factory.mktemp("certificates")
    good = Papers(made).good.read_bytes()
    key, certificate = good[: good.index(b"-----BEGIN C")], good[good.index(b"-----BEGIN C") :]
    broken = certificate.replace(b"M", b"N")
    for name, content in {
        "key": key,
        "certificate": certificate,
        "text": b"text\n",
        "empty": b"",
        "broken": broken,
    }.items():
        (made / name).write_bytes(content)
    encrypt(made / "key", made / "encrypted")
    return made


def encrypt(key: Path, into: Path) -> None:
    command = ["openssl", "pkcs8", "-topk8", "-in", key, "-out", into, "-passout", "pass:secret"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions([*arguments, "-f", "."])
    return options


@pytest.mark.parametrize(
    "files",
    [
        ["--certificate=good.pem"],
        ["--certificate=certificate", "--key=key"],
        ["--certificate=good.pem", "--key=key"],
        ["--certificate=good.pem", "--client-ca=ours.pem"],
        ["--certificate=good.pem", "-p", "ssl:0:privateKey=good.pem"],
        ["--certificate=good.pem", "--client-ca=ours.pem", "-p", "unix:socket"],
    ],
)
def test_a_certificate_may_be_with_its_key_or_apart(here: Path, files: list[str]) -> None:
    assert list(parsed(*files)["tls"].current.warnings(time.time())) == []


def test_the_files_are_found_from_another_working_directory_later_on(here: Path, tmp_path: Path) -> None:
    encrypted = parsed("--certificate=certificate", "--key=key", "--client-ca=ours.pem")["tls"]
    os.chdir(tmp_path)
    assert encrypted.read_anew().expires == encrypted.expires


def test_a_file_in_a_working_directory_that_is_gone_is_one_line(here: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match=r'^"key" '):
        parsed(f"--certificate={here / 'certificate'}", "--key=key")


def test_without_a_certificate_there_is_no_tls(here: Path) -> None:
    assert parsed()["tls"] is None


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["--certificate=missing"], "missing"),
        (["--certificate=."], "is a directory"),
        (["--certificate=text"], "text"),
        (["--certificate=empty"], "empty"),
        (["--certificate=broken"], "broken"),
        (["--certificate=key"], "key"),
        (["--certificate=certificate"], "--key"),
        (["--certificate=certificate", "--key=missing"], "missing"),
        (["--certificate=certificate", "--key=certificate"], "certificate"),
        (["--certificate=certificate", "--key=unknown.pem"], "unknown.pem"),
        (["--certificate=certificate", "--key=encrypted"], "openssl pkey"),
        (["--certificate=good.pem", "--client-ca=text"], "text"),
        (["--certificate=good.pem", "--client-ca=missing"], "missing"),
        (["--certificate=good.pem", "--client-ca=ours.pem", "-p", "ssl:0:privateKey=good.pem"], "--client-ca"),
        (["--certificate="], "--certificate: "),
        (["--certificate=certificate", "--key="], "--key: "),
        (["--certificate=good.pem", "--client-ca="], "--client-ca: "),
        (["--key="], "--key"),
        (["--client-ca="], "--client-ca"),
        (["--key=key"], "--key"),
        (["--client-ca=ours.pem"], "--client-ca"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_one_line(here: Path, files: list[str], names: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(*files)
    assert (names in str(refused.value), "\n" in str(refused.value)) == (True, False)


@pytest.mark.parametrize("kind", ["expired", "future", "nameless", "garbled"])
def test_a_certificate_that_no_client_will_trust_is_a_warning(here: Path, kind: str) -> None:
    (warning,) = parsed(f"--certificate={kind}.pem")["tls"].current.warnings(time.time())
    assert f"{kind}.pem" in warning


@pytest.mark.parametrize(
    "of_client",
    [
        {"cafile": "missing"},
        {"cafile": ""},
        {"certificate": ""},
        {"certificate": "good.pem", "key": ""},
        {"cafile": "text"},
        {"certificate": "key"},
        {"certificate": "good.pem", "key": "client.pem"},
    ],
)
def test_the_files_of_a_client_are_looked_at_as_closely(here: Path, of_client: dict[str, str]) -> None:
    with pytest.raises(errors.BadCertificate):
        tls.client_endpoint("localhost", **of_client)


def test_where_tls_is_not_installed_that_is_said_in_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenSSL", None)
    with pytest.raises(errors.TlsMissing, match="pip install pyopenssl service-identity"):
        tls.client_endpoint("localhost")
    with pytest.raises(UsageError, match="pip install pyopenssl service-identity"):
        parsed("--certificate=good.pem")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tls:host", tls.Address("host", 5000)),
        ("tls:host:6000", tls.Address("host", 6000)),
        ("tls:[::1]", tls.Address("::1", 5000)),
        ("tls:[::1]:6000", tls.Address("::1", 6000)),
        (r"tls:\:\:1:6000", tls.Address("::1", 6000)),
        ("tls:port=6000:host=host", tls.Address("host", 6000)),
        (r"tls:host:6000:trustRoots=C\:/x", tls.Address("host", 6000, (("trustRoots", "C:/x"),))),
        ("tcp:host:6000", None),
        ("host:6000", None),
    ],
)
def test_an_address_says_host_and_port_and_maybe_more(text: str, address: tls.Address | None) -> None:
    assert tls.parse_address(text) == address


@pytest.mark.parametrize(
    "typed",
    [
        "-s tls: list",
        "-s tls::5000 list",
        "-s tls:host:0 list",
        "-s tls:host:65536 list",
        "-s tls:host:port list",
        "-s tls:[::1 list",
        "-s tls:host:5000:6000 list",
        "-s tls:host:5000:verify=no list",
        "-s host:5000 --cafile ours.pem list",
        "-s unix:socket --cert client.pem list",
        "-s tls:host --key key list",
    ],
)
def test_what_would_not_be_heeded_is_usage(typed: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed.split())
    assert ended.value.code == 2
