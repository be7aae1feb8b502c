"""The pages of `docs/`, each cut into sections where its headings cut it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode as Node


class CanNotMake(Exception):
    """`docs/` has no longer what a manual page is made of, or has what can't be shown on one."""


@dataclass(frozen=True)
class Section:
    """The blocks below a heading; the first section of a file, below its title, has no name."""

    name: str
    blocks: tuple[Node, ...]


def parsed(text: str) -> list[Node]:
    """Return the blocks of a text in Markdown."""
    return Node(MarkdownIt("commonmark").enable("table").parse(text)).children


def inlines(node: Node) -> list[Node]:
    """Return what a paragraph, heading or cell consists of."""
    return [part for inline in node.children for part in inline.children if part.type != "text" or part.content]


def plain(node: Node) -> str:
    """Return the text of `node` without any markup."""
    return node.content if not node.children else "".join(plain(child) for child in node.children)


def columns(table: Node) -> list[Node]:
    """Return the titles of a table's columns."""
    return table.children[0].children[0].children


def anchor(heading: str) -> str:
    """Return what a link to a heading has after its #."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def headings(text: str) -> Iterator[str]:
    """Yield all headings of a text in Markdown."""
    return (plain(block) for block in parsed(text) if block.type == "heading")


def sections(blocks: Sequence[Node]) -> list[Section]:
    """Cut `blocks`, those of one file, at every heading."""
    starts = [number for number, block in enumerate(blocks) if block.type == "heading"]
    cuts = pairwise([*starts, len(blocks)])
    return [
        Section("" if blocks[start].tag == "h1" else plain(blocks[start]), tuple(blocks[start + 1 : end]))
        for start, end in cuts
    ]


class Docs:
    """The sections of every file of `docs/`."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Take the texts by the names of their files."""
        self._files = {file: sections(parsed(text)) for file, text in texts.items()}

    def sections(self, file: str) -> list[Section]:
        """Return all sections of `file`. Raises `CanNotMake` where there is no such file, or it has no title."""
        found = self._files.get(file, [])
        if not found or found[0].name:
            raise CanNotMake(f"docs/{file}, of which manual pages are made, is missing or does not begin with a title")
        return found

    def section(self, file: str, name: str) -> Section:
        """Return one section of `file`. Raises `CanNotMake` where it has none of that name, or nothing in it."""
        for section in self.sections(file):
            if section.name == name and section.blocks:
                return section
        raise CanNotMake(
            f'docs/{file} has nothing under a heading "{name}", of which manual pages are made: give it that heading'
            " again, or tests/manual/pages.py the new one"
        )

    def linked(self, file: str, anchor_: str) -> str:
        """Return the name of the section of `file` that a link leads to. Raises `CanNotMake` where there is none."""
        if not anchor_:
            return ""
        for section in self.sections(file):
            if section.name and anchor(section.name) == anchor_:
                return section.name
        raise CanNotMake(f"a link leads to docs/{file}#{anchor_}, and there is no such heading")


def read(folder: Path) -> Docs:
    """Return what the files of `folder` say now."""
    return Docs({path.name: path.read_text() for path in folder.glob("*.md")})
