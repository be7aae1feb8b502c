"""`python -m tests.soak`: run the soak and print what the server held; the status is 1 where a promise was broken."""

from __future__ import annotations

import argparse
import secrets
import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.bench.table import circumstances
from tests.soak.report import markdown, plain
from tests.soak.run import Run, prepared
from tests.support.processes import hear_signals


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=lambda text: 60 * float(text), dest="seconds", metavar="N")
    length.add_argument("--seconds", type=float, metavar="N", help="(default: 60)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="of every choice that an actor makes")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.set_defaults(seconds=60.0)
    return parser


def main() -> int:
    """0 where every promise was kept, 1 where not, 130 where a signal came before that was known."""
    arguments = _parser().parse_args()
    hear_signals()
    with prepared(arguments.seconds, arguments.seed) as run:
        try:
            react(lambda reactor: Deferred.fromCoroutine(_report(reactor, run, arguments.markdown)))
        except SystemExit:  # as react always ends
            return 130 if not run.is_over else 1 if run.wrongs else 0


async def _report(reactor: object, run: Run, in_markdown: bool) -> None:
    await run.act(reactor)
    command = " ".join(["python -m tests.soak", *sys.argv[1:]])
    sys.stdout.write(f"{circumstances(command)}, seed {run.seed}\n\n{(markdown if in_markdown else plain)(run)}\n")
    sys.stdout.writelines(f"BROKEN: {wrong}\n" for wrong in run.wrongs)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
