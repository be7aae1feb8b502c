"""`python -m tests.picture`: record the picture of the prompt."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from tests.picture import session, shelf, svg
from tests.support.faulty_path import Bandwidth, FaultyPath
from tests.support.processes import ServerProcess, run_client

PICTURE = Path(__file__).with_name("prompt.svg")
NETWORK = Bandwidth(100e6 / 8)
"""Between the two: what one machine sends to itself is gone before anybody could look at it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.picture", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="where the client connects (default: %(default)s)")
    parser.add_argument("picture", nargs="?", type=Path, default=PICTURE, help="written anew (default: %(default)s)")
    return parser


def _taken(port: int, folder: Path) -> str:
    with session.at_its_best(port, folder) as screen:
        return svg.drawn(screen, "chatfile-client")


async def _record(reactor: Any, picture: Path, port: int) -> None:
    with TemporaryDirectory() as folder:
        shelf.fill(Path(folder, "served"))
        with ServerProcess(Path(folder, "served")) as server:
            run_client(Path(folder), "-s", f"127.0.0.1:{server.port}", "get", shelf.SENT_BEFORE)
            path = FaultyPath(reactor, server.port, down=[NETWORK], port=port)
            try:
                drawing = await deferToThread(_taken, path.port, Path(folder))
            finally:
                await path.end()
    picture.write_text(drawing)


def _recorded(reactor: Any, picture: Path, port: int) -> Deferred[None]:
    return Deferred.fromCoroutine(_record(reactor, picture, port))


if __name__ == "__main__":
    arguments = _parser().parse_args()
    react(_recorded, (arguments.picture, arguments.port))
