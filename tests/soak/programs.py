"""`chatfile-client` itself: its prompt, its bars, Ctrl-C, and many small files in one command."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.soak.files import BIG, SMALL, Known
from tests.soak.stage import RawTurn, Stage
from tests.support.processes import client_command
from tests.support.terminals import CTRL_C, ENTER, Terminal

LONGEST = 90.0
"""Seconds that a command may take, its wait for a seat among them."""
INTERRUPTED = 130
WHO = r"Client\d+ \S+>"
"""What the prompt begins with, over TLS as well."""
SLOWLY = "--limit-rate=6M"
"""Keeps the big file under way for some seconds."""


@contextmanager
def _somewhere(stage: Stage) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=stage.scratch) as name:
        yield Path(name)


def command(stage: Stage, *words: object) -> list[str]:
    """The program with its options; it connects once, or more often."""
    stage.tally.count("programs started")
    return client_command(*stage.options, *words)


def run(stage: Stage, folder: Path, *words: object) -> subprocess.CompletedProcess[bytes]:
    """One command to its end, on pipes."""
    return subprocess.run(
        command(stage, *words), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST, check=False
    )


def check(stage: Stage, path: Path, known: Known) -> None:
    """What was saved is what is on the server."""
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == known.sha256, f"{path.name} is damaged"
    for what, times in {"requests": 1, "bytes": known.size, "digests verified": 1}.items():
        stage.tally.count(what, times)


# --- the prompt ---


def prompting(stage: Stage, rng: Random) -> None:
    """Somebody who looks around, fetches, changes the window all the while, and thinks better of the last file."""
    with _somewhere(stage) as folder, Terminal(*command(stage, SLOWLY), folder=folder, columns=100) as terminal:
        terminal.patience = LONGEST
        terminal.see(WHO)
        for line, answer in _talk(rng):
            _resize(terminal, rng)
            terminal.type(line + ENTER)
            terminal.see(rf"{answer}[\s\S]*{WHO}")
        check(stage, folder / "client_downloads" / SMALL, stage.files[SMALL])
        _stop(terminal, folder, rng)
        terminal.type(f"exit{ENTER}")
        assert terminal.ended() == 0, terminal.screen
    stage.tally.count("prompts left well")


def _talk(rng: Random) -> list[tuple[str, str]]:
    lines = [
        ("list", r"million\.bin"),
        ("status", r"\(you\)"),
        (f"get {SMALL}", rf"{SMALL}: "),
        ("hello", "hello ACK"),
        ("get missing", "no file"),
        (f"hash {SMALL}", SMALL),
    ]
    return rng.sample(lines, len(lines))


def _stop(terminal: Terminal, folder: Path, rng: Random) -> None:
    terminal.type(f"get {BIG}{ENTER}")
    terminal.see(r"\d %")  # of what was drawn before, only what is another character is drawn anew
    _resize(terminal, rng)
    terminal.type(CTRL_C)
    terminal.see(r"\(y/N\)")
    terminal.type(f"y{ENTER}")
    terminal.see(rf"Stopped\.[\s\S]*{WHO}")
    assert not (folder / "client_downloads" / BIG).exists(), "what is not whole has its final name"


def _resize(terminal: Terminal, rng: Random) -> None:
    terminal.resize(rng.randint(90, 200), rng.randint(10, 50))  # a question in one line


# --- bars ---


def watching_bars(stage: Stage, rng: Random) -> None:
    """Interrupted at a bar, and then gone on with to the end."""
    with _somewhere(stage) as folder:
        assert _fetch(stage, folder, rng, interrupted=True) == INTERRUPTED
        assert not (folder / "client_downloads" / BIG).exists(), "what is not whole has its final name"
        assert _fetch(stage, folder, rng, interrupted=False) == 0
        for name in (SMALL, BIG):
            check(stage, folder / "client_downloads" / name, stage.files[name])
    stage.tally.count("bars drawn to the end")


def _fetch(stage: Stage, folder: Path, rng: Random, *, interrupted: bool) -> int:
    """The exit status."""
    words = command(stage, SLOWLY, "get", SMALL, BIG)
    with Terminal(*words, folder=folder, columns=rng.randint(60, 160)) as terminal:
        terminal.patience = LONGEST
        terminal.see(rf"{BIG}[\s\S]*━[\s\S]* % ")
        _resize(terminal, rng)
        if interrupted:
            terminal.type(CTRL_C)
        return terminal.ended()


# --- many small files ---


def fetching_many(many: dict[str, Known]) -> RawTurn:
    """An actor that fetches a whole folder by one command, and once more when all is there."""

    def fetching(stage: Stage, _: Random) -> None:
        with _somewhere(stage) as folder:
            for _again in range(2):
                done = run(stage, folder, "get", *{f"{path.rpartition('/')[0]}/*" for path in many})
                assert done.returncode == 0, done.stderr[-500:]
            for path, known in many.items():
                check(stage, folder / "client_downloads" / path, known)
        stage.tally.count("small files fetched", len(many))

    return fetching
