"""Scripts with which a shell completes the command line of a program, made from a description of that program."""

from __future__ import annotations

from chatfile.completions import bash, fish, zsh
from chatfile.completions.program import Argument, Command, Kind, Option, Program, RemoteNames, Value

__all__ = ["SHELLS", "Argument", "Command", "Kind", "Option", "Program", "RemoteNames", "Value", "script"]

_RENDERERS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
SHELLS = tuple(_RENDERERS)


def script(program: Program, shell: str) -> str:
    """What `shell`, one of `SHELLS`, has to read."""
    return _RENDERERS[shell](program)
