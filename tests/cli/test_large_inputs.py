"""Files of a person's that are larger than they ever should be: they are read as far as is of use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chatfile import errors
from chatfile.cli.prompt.history import KEPT, KeptHistory
from chatfile.tls.files import read_certificates, read_identity, trust
from tests.support.certificates import Authority

COMMENT = b"what a person has written above it, as is allowed in such a file\n" * 16_000  # about a megabyte


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Authority(tmp_path_factory.mktemp("pem"), "ours").path


@pytest.mark.parametrize(
    "read",
    [
        lambda path, _: read_certificates(path),
        lambda path, _: read_identity(path, None),
        lambda path, certificate: read_identity(str(certificate), path),
        lambda path, _: trust(path),
    ],
    ids=["certificates", "identity", "key", "authorities"],
)
@pytest.mark.parametrize(("megabytes", "is_found"), [(1, True), (6, False)])
def test_what_is_megabytes_behind_the_beginning_of_a_pem_file_is_not_looked_for(
    tmp_path: Path, certificate: Path, read: Callable[[str, Path], object], megabytes: int, is_found: bool
) -> None:
    path = tmp_path / "large.pem"
    path.write_bytes(COMMENT * megabytes + certificate.read_bytes())
    try:
        read(str(path), certificate)
    except errors.BadCertificate:
        assert not is_found
    else:
        assert is_found


def test_a_huge_history_delays_nobody_and_its_latest_lines_are_known(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with path.open("wb") as file:
        file.truncate(64 << 30)  # no disk is needed for zeros, but the memory that they were read into
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast but one\nlast\n")
    lines = list(KeptHistory(path).load_history_strings())
    assert lines[:2] == ["last", "last but one"]
    assert sum(map(len, lines)) < 2 << 20


def test_a_history_of_long_lines_is_read_from_behind(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f"{number} {'x' * 10_000}\n" for number in range(KEPT)))
    numbers = [line.split()[0] for line in KeptHistory(path).load_history_strings()]
    assert numbers[0] == str(KEPT - 1)
    assert len(numbers) < KEPT / 2
