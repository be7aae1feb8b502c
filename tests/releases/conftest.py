"""The last release, as it was published, beside the code of today: programs of both, in the environment of the tests.

`chatfile-0.1.0-py3-none-any.whl` was built once, from commit c84e2a0 (the tag v0.1.0), by

    SOURCE_DATE_EPOCH=1795940683 python -m build --wheel

which gives the same bytes again (hatchling 1.33). When there is a next release, its wheel takes the place of this one.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fuzz.server import served
from tests.releases.versions import Environment, OneSeat, Pair


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environment]:
    """What the programs of the `old` version are started with, and those of the `new` one."""
    folder = tmp_path_factory.mktemp("released")
    [wheel] = Path(__file__).parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    not_measured = {name: "" for name in os.environ if name.startswith("COVERAGE_")}
    return {"old": {"PYTHONPATH": str(folder), **not_measured}, "new": {}}


@pytest.fixture(params=["old client, new server", "new client, old server"])
def pair(request: pytest.FixtureRequest, environments: dict[str, Environment]) -> Pair:
    client, server = (environments[end.split()[0]] for end in request.param.split(", "))
    return Pair(client, server, other_client=server)


@pytest.fixture(scope="package")
def one_seat(
    environments: dict[str, Environment], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, OneSeat]]:
    """A server of each version, with one seat and one place in its line, of what is served to the fuzzer as well."""
    folder, files = tmp_path_factory.mktemp("seat"), served()
    with ExitStack() as running, ThreadPoolExecutor(2) as pool:

        def started(version: str) -> OneSeat:
            return running.enter_context(OneSeat(files, folder / version, environments[version]))

        yield dict(zip(environments, pool.map(started, environments), strict=True))
