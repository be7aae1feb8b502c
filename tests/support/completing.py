"""Shells that complete, and programs that say what they were given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatfile.completion import SHELLS, script
from tests.support.processes import PATIENCE
from tests.support.terminals import ENTER, Terminal

CLIENT, SERVER, ODD, PLAIN = "chatfile-client", "chatfile-server", "odd-one", "plain-one"
AWKWARD = """it's "so" $HOME `touch wrong` $(touch wrong) \\ \\x [y] :z: {a,b} *? ~ #&;<>|! %NAME% _program"""
"""As a meaning, a title, or a word to choose."""
_PARSERS = {
    CLIENT: "from chatfile.cli.parser import command_line; parser = command_line()",
    SERVER: "from chatfile.options import Options, as_argparse; parser = as_argparse(Options())",
    ODD: f"""
    text = {AWKWARD!r}
    parser = argparse.ArgumentParser()
    help = text.replace("%", "%%")
    parser.add_argument("-c", "--choose", metavar=text, choices=[text, "x:y\\\\:z"], help=help)
    commands = parser.add_subparsers()
    commands.add_parser("do", help=help, description=text).add_argument("what", choices=[text])
    """,
    PLAIN: """
    parser = argparse.ArgumentParser()
    parser.add_argument("--flag", action="store_true")
    parser.add_argument("-m", "--more", action="append")
    """,
}
"""Programs, and how their parsers are made."""

_STAND_IN = """#!{python}
import os, sys
if "_ARGCOMPLETE" in os.environ:
    import argparse, json
    from chatfile.completion import complete
    {parser}
    def remote_names(options):
        print("noise", file=sys.stderr)
        with open("asked", "w") as file:
            json.dump(options, file)
        with open("rows") as file:
            return json.load(file)
    complete(parser, remote_names)
with open(".ran", "w") as file:
    file.write("".join(word + chr(0) for word in sys.argv[1:]))
os.rename(".ran", "ran")
print("Do" + "ne")
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
    """Put a program there that completes, lists these files, and keeps what it was given; return where it is."""
    (folder / "rows").write_text(json.dumps(names))
    (folder / "bin").mkdir()
    (folder / "bin" / name).write_text(_STAND_IN.format(python=sys.executable, parser=_PARSERS[name].strip()))
    (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


def words(path: Path) -> list[str]:
    """What the program kept."""
    return path.read_text().split("\0")[:-1]


class Typing:
    """An interactive shell in `folder` that has read a text and finds the programs of `path` first."""

    def __init__(self, shell: str, text: str, folder: Path, path: Path, before: str = "true") -> None:
        (folder / "script").write_text(text)
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
compopt() { :; }
COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
source ./script
eval "$2"
COMP_LINE=$3 COMP_POINT=$4 COMP_TYPE=9 COMP_WORDS=() COMP_CWORD=0
_python_argcomplete "$1"
if [[ ${COMPREPLY[@]+x} ]]; then
    printf '%s\\0' "${COMPREPLY[@]}"
fi
"""


def replies(program: str, folder: Path, line: str, *, before: str = "", behind: str = "", path: Path) -> list[str]:
    """Return what bash is told where the cursor is at the end of `line`, and `behind` comes after it."""
    (folder / "script").write_text(script(program, "bash"))
    command = ["bash", "--norc", "-c", _REPLIES, "bash", program, before, line + behind, str(len(line))]
    around = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": "/home/me", "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=around, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True
    )
    assert not done.stderr, done.stderr
    return done.stdout.decode().split("\0")[:-1]
