"""The README and `docs/`: their text, links, and the commands that they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support import ROOT

DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
"""The texts by their paths from the root of the repository."""
_ENDS = frozenset(("|", "||", "&", "&&", ";", "(", ")"))
"""What ends a simple command."""


def _tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def links(text: str) -> list[str]:
    """Return where a text links to, pictures among it."""
    targets = (token.attrGet("href") or token.attrGet("src") for token in _tokens(text))
    return [str(target) for target in targets if target]


def spans(text: str) -> list[str]:
    """Return what stands as code within sentences."""
    return [token.content for token in _tokens(text) if token.type == "code_inline"]


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of code in `language`."""
    return [token.content for token in _tokens(text) if token.type == "fence" and token.info == language]


def command_lines(text: str) -> list[str]:
    """Return every whole line that a text shows to be typed at a shell."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    typed = [
        line.removeprefix("$ ")
        for block in blocks(text, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    programs = ("chatfile-client ", "chatfile-server ", "twistd ", "printf ", "ssh ")
    return [*lines, *typed, *(span for span in spans(text) if span.startswith(programs) and "[options]" not in span)]


def simple_commands(line: str) -> Iterator[Sequence[str]]:
    """Yield the words of each command in a line of shell, without redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in (*lexer, ";"):
        if word in _ENDS:
            if words:
                yield words
            words = []
        else:
            words.append(word)


def arguments(line: str, program: str) -> Iterator[Sequence[str]]:
    """Yield what `program` is given each time that it is called in a line of shell."""
    for words in simple_commands(line):
        if re.fullmatch(rf"(.*/)?{program}", words[0]):
            rest = words[1:]
            yield rest[: rest.index(">")] if ">" in rest else rest
