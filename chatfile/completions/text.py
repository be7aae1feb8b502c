"""A script is a template in which `_program` stands for what its functions begin with, and %WORDS% for what differs."""

from __future__ import annotations

import re

from chatfile.completions.program import Program

_PLACE = re.compile(r"\b_program|%[A-Z]+%")


def filled(template: str, program: Program, **parts: str) -> str:
    """The template with everything in its place, in one go: what is put in is not looked at again."""
    places = {"_program": program.prefix, "%NAME%": program.name} | {f"%{name}%": part for name, part in parts.items()}
    return _PLACE.sub(lambda place: places[place.group()], template)


def indented(lines: list[str], depth: int) -> str:
    """Lines of a block, without the end of the last one."""
    return "\n".join("    " * depth + line for line in lines).lstrip()


def quoted(text: str) -> str:
    """One word of bash or zsh, whatever is in it."""
    return "'" + text.replace("'", "'\\''") + "'"
