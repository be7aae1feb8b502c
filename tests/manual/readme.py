"""The README, cut where its headings, the bold words that open a paragraph, and some of its tables cut it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode as Node

TABLES = ("command", "option", "exit code")
"""The first column of the tables that begin a passage of their own."""


class CanNotMake(Exception):
    """The README has no longer what a page is made of, or has what can't be shown on one."""


@dataclass(frozen=True)
class Passage:
    """Blocks of a section that belong together, named for what they begin with; the first may have no name."""

    name: str
    blocks: tuple[Node, ...]


def parsed(text: str) -> list[Node]:
    return Node(MarkdownIt("commonmark").enable("table").parse(text)).children


def inlines(node: Node) -> list[Node]:
    """What a paragraph, heading or cell consists of."""
    return [part for inline in node.children for part in inline.children if part.type != "text" or part.content]


def plain(node: Node) -> str:
    return node.content if not node.children else "".join(plain(child) for child in node.children)


def lead(block: Node) -> Node | None:
    """The bold words at the beginning of a paragraph, which say what it is about."""
    first = inlines(block)[:1] if block.type == "paragraph" else []
    return first[0] if first and first[0].type == "strong" else None


def columns(table: Node) -> list[Node]:
    return table.children[0].children[0].children


def anchor(heading: str) -> str:
    """What a link to a heading says behind its #."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _name(block: Node) -> str:
    """What the passage that `block` begins is called; "" where it begins none."""
    words = lead(block)
    if words is not None:
        return plain(words).rstrip(".")
    first = plain(columns(block)[0]) if block.type == "table" else ""
    return first if first in TABLES else ""


def passages(blocks: Sequence[Node]) -> list[Passage]:
    starts = sorted({0} | {number for number, block in enumerate(blocks) if _name(block)})
    cuts = pairwise([*starts, len(blocks)])
    return [Passage(_name(blocks[start]), tuple(blocks[start:end])) for start, end in cuts if start < end]


class Readme:
    """Its sections, each found by its heading up to the first comma."""

    def __init__(self, text: str) -> None:
        self._sections: dict[str, list[Node]] = {}
        self._anchors: dict[str, str] = {}
        self._read(parsed(text))

    def _read(self, blocks: Sequence[Node]) -> None:
        section: list[Node] = []
        for block in blocks:
            if block.type == "heading":
                name = plain(block).partition(",")[0]
                self._anchors[anchor(plain(block))] = name
                section = self._sections.setdefault(name, [])
            else:
                section.append(block)

    def section(self, name: str) -> list[Node]:
        if not self._sections.get(name):
            raise CanNotMake(
                f'README.md has nothing under a heading "{name}", of which manual pages are made: give it that heading'
                " again, or tests/manual/pages.py the new one"
            )
        return self._sections[name]

    def heading(self, anchor: str) -> str:
        """The section to which a link leads."""
        if anchor not in self._anchors:
            raise CanNotMake(f"README.md links to #{anchor}, and has no such heading")
        return self._anchors[anchor]

    def examples(self, name: str, used: str) -> Iterator[Node]:
        """The blocks of code of a section in which `used` stands, each behind the paragraph that tells of it."""
        found = [pair for pair in pairwise(self.section(name)) if pair[1].type == "fence" and used in pair[1].content]
        if not found:
            raise CanNotMake(f'README.md has no example with "{used}" under "{name}", of which a manual page is made')
        for pair in found:
            yield from pair
