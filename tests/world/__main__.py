"""`python -m tests.world`: run worlds of ever new seeds; the status is 1 where one broke a promise, and it is shown."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.world.runs import Failed, discard_log, worlds

LAST = 60
"""Events of a trace that are shown."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="(default: 60)")
    parser.add_argument("--seed", type=int, help="run that world alone, and show its trace")
    return parser


def main() -> int:
    """0 where every promise was kept, 1 where not."""
    arguments = _parser().parse_args()
    discard_log()
    with worlds() as made:
        if arguments.seed is not None:
            try:
                trace = made.run(arguments.seed)
            except Failed as failed:
                return _tell(failed, len(failed.trace))
            sys.stdout.writelines(f"{event}\n" for event in trace)
            return 0
        until, began = time.monotonic() + arguments.seconds, time.process_time()
        count, first = 0, secrets.randbits(40)
        while time.monotonic() < until:
            try:
                made.run(first + count)
            except Failed as failed:
                return _tell(failed, LAST)
            count += 1
    rate = 60 * count / (time.process_time() - began)
    sys.stdout.write(f"{count} worlds, {rate:,.0f} in a minute of one processor; every promise was kept\n")
    return 0


def _tell(failed: Failed, most: int) -> int:
    sys.stdout.writelines(f"{event}\n" for event in failed.trace[-most:])
    sys.stdout.write(f"\n{failed.plan}\n{failed}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
