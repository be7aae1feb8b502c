"""`python -m tests.fuzz`: feed each target with inputs that reach ever more of its code, and keep what breaks it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.targets import CORPUS, TARGETS

NEEDED = "Fuzzing needs atheris, which is not installed here: python -m pip install --only-binary atheris atheris\n"
LONGEST_INPUT = 12_000
"""Bytes: more than two lines that are too long."""
HANGS = 20
"""Seconds after which one input has taken too long."""
MEMORY = 1024
"""Megabytes that a target may use, with what the fuzzer remembers."""
_WHY = re.compile(r"^(?:==|SUMMARY|artifact_prefix|\w*Error).*\n", re.MULTILINE)
_PROGRESS = re.compile(r"^#(\d+)\s.*\bcov: (\d+)", re.MULTILINE)


def _seconds(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if there is none")
    parser.add_argument("--seconds", type=_seconds, default="60", help="for each target (default: %(default)s)")
    parser.add_argument(
        "--failures",
        type=Path,
        default=Path("fuzz-failures"),
        help="where failing inputs are kept (default: %(default)s)",
    )
    parser.add_argument("--grow", type=Path, help="a folder for the inputs found; forgotten if there is none")
    return parser


def _chosen(parser: argparse.ArgumentParser, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in TARGETS:
            parser.error(f"there is no target {name!r}; there are {', '.join(TARGETS)}")
    return [name for name in TARGETS if not names or name in names]


def _command(target: str, seconds: int, found: Path, failures: Path) -> list[str]:
    options = {
        "max_total_time": seconds,
        "max_len": LONGEST_INPUT,
        "timeout": HANGS,
        "rss_limit_mb": MEMORY,
        "artifact_prefix": f"{failures / target}-",
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "tests.fuzz.one", target, *flags, str(found), str(CORPUS / target)]


def _run(target: str, seconds: int, grown: Path, failures: Path, scratch: str) -> bool:
    """Whether nothing broke."""
    found = grown / target
    found.mkdir(parents=True, exist_ok=True)
    command = _command(target, seconds, found, failures)
    own = {**os.environ, "TMPDIR": scratch}  # libFuzzer ends a process without giving it time to tidy up
    ended = subprocess.run(command, env=own, capture_output=True, text=True, errors="replace", check=False)
    said = ended.stdout + ended.stderr
    runs, coverage = _PROGRESS.findall(said)[-1] if _PROGRESS.search(said) else ("0", "0")
    verdict = "nothing broke" if ended.returncode == 0 else f"broken, the input is in {failures}"
    sys.stdout.write(f"{target:10} {runs:>10} runs  {coverage:>6} edges  {verdict}\n")
    sys.stdout.flush()
    if ended.returncode:
        sys.stderr.write(f"{ended.stdout}{''.join(_WHY.findall(ended.stderr))}")
    return ended.returncode == 0


def main() -> int:
    """0 where nothing broke, 1 where something did, 2 where it can't be tried."""
    parser = _parser()
    arguments = parser.parse_args()
    targets = _chosen(parser, arguments.targets)
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write(NEEDED)
        return 2
    arguments.failures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chatfile-fuzz-") as scratch:
        grown = arguments.grow or Path(scratch)
        results = [_run(target, arguments.seconds, grown, arguments.failures, scratch) for target in targets]
    return 0 if all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
