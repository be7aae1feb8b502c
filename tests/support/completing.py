"""Shells with our scripts in them, and a program that says what it was given."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from chatfile.cli.arguments import command_line
from chatfile.cli.described import described
from chatfile.completions import SHELLS, Argument, Command, Kind, Option, Program, RemoteNames, Value
from chatfile.options import Options
from chatfile.options import described as described_server
from tests.support.processes import PATIENCE
from tests.support.terminals import ENTER, Terminal

CLIENT = described(command_line())
SERVER = described_server(Options())

AWKWARD = """it's "so" $HOME `touch wrong` $(touch wrong) \\ \\x [y] :z: {a,b} *? ~ #&;<>|! %NAME% _program"""
"""As a meaning, a title, or a word to choose."""
ODD = Program(
    "odd-one",
    (Option(("-c", "--choose"), AWKWARD, Value(Kind.WORD, AWKWARD, (AWKWARD, "x:y\\:z"))),),
    commands=(Command("do", AWKWARD, arguments=(Argument(Value(Kind.WORD, AWKWARD, (AWKWARD,))),)),),
)
PLAIN = Program("plain-one", (Option(("--flag",), AWKWARD), Option(("-m", "--more"), "", may_repeat=True)))
LISTING = Program(
    "listing-one",
    (Option(("-s", "--server"), "", Value(Kind.ANYTHING, "")),),
    commands=(Command("get", "", arguments=(Argument(Value(Kind.REMOTE, "NAME"), may_repeat=True),)),),
    listing=RemoteNames(("list",), ("-s", "--server")),
)

_STAND_IN = """#!/bin/sh
case "$*" in
*list) printf '%s\\0' "$@" > asked; cat rows; echo noise >&2 ;;
*) printf '%s\\0' "$@" > .ran; mv .ran ran; echo 'Do''ne' ;;
esac
"""
_STARTS = {
    "bash": ("bash --norc --noprofile -i", "source ./script"),
    "zsh": ("zsh -f -i", "autoload -U compinit && compinit -D -u && source ./script"),
    "fish": ("fish --no-config -i", "source ./script"),
}
needs_shell = {
    shell: pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell} here") for shell in SHELLS
}
every_shell = pytest.mark.parametrize("shell", [pytest.param(shell, marks=needs_shell[shell]) for shell in SHELLS])
typed_in_each = pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(shell, marks=[needs_shell[shell], pytest.mark.slow]) for shell in ("zsh", "fish"))]
)


def put_stand_in(folder: Path, name: str, names: list[str]) -> Path:
    """A program that lists these files, and otherwise keeps what it was given; the result is where it is."""
    rows = (f"{size:>3}  2026-11-22T13:26:00Z  {each}\n" for size, each in enumerate(names))
    (folder / "rows").write_text("".join(rows))
    (folder / "bin").mkdir()
    (folder / "bin" / name).write_text(_STAND_IN)
    (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


def words(path: Path) -> list[str]:
    """What the program kept."""
    return path.read_text().split("\0")[:-1]


class Typing:
    """An interactive shell in `folder` that has read a script and finds the programs of `path` first."""

    def __init__(self, shell: str, script: str, folder: Path, path: Path, before: str = "true") -> None:
        (folder / "script").write_text(script)
        start, reading = _STARTS[shell]
        self._folder = folder
        self.terminal = Terminal(
            *start.split(), folder=folder, columns=200, PATH=f"{path}{os.pathsep}{os.environ['PATH']}",
            HOME=str(folder), LC_ALL="C.UTF-8", PS1="> ", XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder),
        )  # fmt: skip
        self.terminal.type(f"{before}; {reading}; echo re''ady{ENTER}")
        self.terminal.see(r"ready\r")

    def run(self, line: str) -> list[str]:
        """What the stand-in is given by this line, in which a Tab is a Tab."""
        self.terminal.type(line + ENTER)
        self.terminal.see(r"Done\r")
        return words(self._folder / "ran")

    def __enter__(self) -> Typing:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.__exit__()


_REPLIES = """
compopt() { printf 'compopt %s\\0' "$*"; }
eval "$5"
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
eval "$2"
COMP_LINE=$3 COMP_POINT=$4 COMP_WORDS=() COMP_CWORD=0
"$1"
if [[ ${COMPREPLY[@]+x} ]]; then
    printf '%s\\0' "${COMPREPLY[@]}"
fi
"""


def replies(
    program: Program, script: str, line: str, folder: Path, *, before: str = "", behind: str = "", path: str = ""
) -> list[str]:
    """What bash is told to do, and the replies, where the cursor is at the end of `line`."""
    command = ["bash", "--norc", "-c", _REPLIES, "bash", program.prefix, before, line + behind, str(len(line)), script]
    around = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": "/home/me", "PATH": f"{path}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=around, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True
    )
    assert not done.stderr, done.stderr
    return done.stdout.decode().split("\0")[:-1]
