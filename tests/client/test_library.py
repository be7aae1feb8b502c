"""chatfile as a library, as its users have it: the documented example word for word, beside asyncio, and typed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chatfile
from tests.support import ROOT
from tests.support.processes import PATIENCE, ServerProcess

BESIDE_ASYNCIO = ROOT / "tests/examples/beside_asyncio.py"
FILES = {"welcome.txt": b"welcome", "large": os.urandom(3_000_001)}


def documented_example() -> str:
    text = (ROOT / "docs" / "library.md").read_text()
    found = re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found
    return found.group(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    for name, content in FILES.items():
        (served / name).write_bytes(content)
    with ServerProcess(served) as server:
        yield server


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_documentation_has_ten_lines_that_list_and_save(server: ServerProcess, tmp_path: Path) -> None:
    example = documented_example()
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 10
    said = run(tmp_path, "-c", example.replace(":5000", f":{server.port}"))
    assert re.match(r"Client\d+ \['large', 'welcome.txt'\]\nDownload\(name='welcome.txt'.* verified=True", said)
    assert (tmp_path / "client_downloads" / "welcome.txt").read_bytes() == FILES["welcome.txt"]


def test_beside_asyncio_files_are_saved_while_other_tasks_go_on(server: ServerProcess, tmp_path: Path) -> None:
    said = run(tmp_path, str(BESIDE_ASYNCIO), str(server.port), *FILES).splitlines()
    assert said[:-1] == [f"./{name} {hashlib.sha256(content).hexdigest()}" for name, content in FILES.items()]
    assert int(said[-1].split()[1]) > 1
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


WRONG = """
from chatfile.client import connect
from chatfile.downloads import download

async def wrong() -> int:
    client = await connect("tcp:127.0.0.1:5000")
    rows: list[int] = await client.listing()
    return (await download(client, rows[0], "")).path
"""


@pytest.mark.slow
def test_a_user_with_mypy_is_told_of_wrong_types_and_of_nothing_else(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("there is no mypy here")
    assert (Path(chatfile.__file__).parent / "py.typed").exists()
    (tmp_path / "right.py").write_text(documented_example())
    (tmp_path / "wrong.py").write_text(WRONG)
    strictly = ["--strict", "--allow-untyped-defs", "--allow-untyped-calls", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *strictly, "right.py", "wrong.py", str(BESIDE_ASYNCIO)],
        cwd=tmp_path, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = re.findall(r"^(.*):\d+: error: .*\[(.*)\]$", done.stdout, re.MULTILINE)
    assert sorted(told) == [("wrong.py", code) for code in ("arg-type", "assignment", "return-value")], done.stdout
