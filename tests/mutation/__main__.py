"""`python -m tests.mutation`: try small changes of the code on the tests, and show those that no test notices."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from tests.mutation.rooms import ROOMS

NEEDED = "This needs cosmic-ray, which is not installed here: python -m pip install cosmic-ray\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}; all if there is none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once (default: %(default)s)")
    parser.add_argument("--sessions", type=Path, help="a folder where cosmic-ray's sessions are kept")
    parser.add_argument(
        "--survivors", action="store_true", help="only what survived in the sessions and is not judged, once more"
    )
    return parser


def main() -> int:
    """0 where each change was noticed or has been judged, 1 where not, 2 where it can't be tried."""
    parser = _parser()
    arguments = parser.parse_args()
    rooms = arguments.rooms or list(ROOMS)
    for room in rooms:
        if room not in ROOMS:
            parser.error(f"there is no room {room!r}; there are {', '.join(ROOMS)}")
    if importlib.util.find_spec("cosmic_ray") is None:
        sys.stderr.write(NEEDED)
        return 2
    from tests.mutation.report import Report
    from tests.mutation.session import Session, run

    with tempfile.TemporaryDirectory(prefix="chatfile-mutation-") as scratch:
        folder = arguments.sessions or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        sessions = [Session(ROOMS[room], folder) for room in rooms]
        run(sessions, jobs=arguments.jobs, again=arguments.survivors, say=sys.stderr.write)
        report = Report()
        for session in sessions:
            report.tell(session.room.name, session.results())
        report.sum_up()
    return 1 if report.unjudged else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
