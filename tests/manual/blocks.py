"""Blocks of Markdown as man(7) has them: paragraphs, lists, tables as tagged paragraphs, and code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markdown_it.tree import SyntaxTreeNode as Node

from tests.manual import roff
from tests.manual.docs import CanNotMake, columns, inlines, parsed, plain

Row = tuple[str, str]
"""A tag and what it means, in roff."""
CODE_WIDTH = 64
"""Columns of a command that fit an indented block in a window of 80."""
_BEFORE_OPTION = re.compile(r" (?=-)")
_SLASH = re.compile(r"(?<!/)/(?!/)")
_BREAK = r"/\\:"
"""A slash behind which a line may be broken."""


def continued(command: str) -> str:
    """A long command on several lines, cut before options, where the shell reads the same then."""
    first, *pieces = _BEFORE_OPTION.split(command)
    lines = [first]
    for piece in pieces:
        if len(f"{lines[-1]} {piece} \\") > CODE_WIDTH:
            lines.append(f"    {piece}")
        else:
            lines[-1] += f" {piece}"
    is_cut = len(command) > CODE_WIDTH and _words(" ".join(lines)) == _words(command) != []
    return " \\\n".join(lines) if is_cut else command


def _words(command: str) -> list[str]:
    """What the shell makes of it; nothing where a quotation or a comment goes on behind it."""
    try:
        return [] if "#" in command else shlex.split(command)
    except ValueError:
        return []


def tagged(rows: Iterable[Row]) -> Iterator[str]:
    for tag, text in rows:
        yield from (".TP", roff.line(tag), *roff.sentences(text))


def _meaning(text: str, others: Mapping[str, str]) -> str:
    """The second column of a table with what the further ones say of it."""
    default = others.get("default")
    notes = "".join(f" ({note})" for title, note in others.items() if note and title != "default")
    return roff.sentence(text + notes) + (f" Default: {default}." if default else "")


@dataclass(frozen=True)
class Blocks:
    """What a page knows when it turns blocks of `docs/` into its own."""

    place: Callable[[str], str | None]
    """Tells where a link leads: to another page, as \"chatfile(7)\"; to this one, ""; or to no page at all, None."""
    placeholders: re.Pattern[str]
    values: Mapping[str, str] = field(default_factory=dict)

    def render(self, blocks: Sequence[Node]) -> list[str]:
        """Return the lines of `blocks`."""
        return [line for block in blocks for line in self._block(block)]

    def markdown(self, text: str) -> list[str]:
        return self.render(parsed(text))

    def _block(self, block: Node) -> Iterable[str]:
        if block.type == "paragraph":
            return self._paragraph(block)
        if block.type == "bullet_list":
            return (line for item in block.children for line in self._item(item))
        if block.type == "table":
            return tagged(self._rows(block))
        if block.type == "fence":
            return self._code(block)
        raise CanNotMake(f"a manual page has no way to show a {block.type} of docs/: {plain(block)!r}")

    def _paragraph(self, block: Node) -> list[str]:
        text = self.inline(inlines(block))
        return [".PP", *roff.sentences(text)] if text else []

    def _item(self, item: Node) -> Iterator[str]:
        first, *others = item.children
        yield from (r".IP \(bu 2", *roff.sentences(self.inline(inlines(first))))
        yield from self.render(others)

    def _rows(self, table: Node) -> Iterator[Row]:
        titles = [plain(column) for column in columns(table)][2:]
        for row in table.children[1].children:
            tag, text, *others = (self.inline(inlines(cell), is_tag=cell is row.children[0]) for cell in row.children)
            if text:
                yield tag, _meaning(text, dict(zip(titles, others, strict=True)))

    def _code(self, block: Node) -> list[str]:
        lines = block.content.splitlines()
        if block.info == "sh":
            lines = [part for line in lines for part in continued(line).splitlines()]
        return [".PP", ".RS 4", ".EX", *(roff.line(roff.code(line)) for line in lines), ".EE", ".RE"]

    def inline(self, parts: Sequence[Node], *, font: str = "R", is_tag: bool = False) -> str:
        return "".join(self._part(part, font, is_tag=is_tag) for part in parts).strip()

    def _part(self, part: Node, font: str, *, is_tag: bool) -> str:
        if part.type == "text":
            return roff.prose(part.content)
        if part.type in ("softbreak", "hardbreak"):
            return " "
        if part.type == "code_inline":
            return self._span(part.content, font) + (self._value(part.content) if is_tag else "")
        if part.type in ("strong", "em"):
            inner = "B" if part.type == "strong" else "I"
            return roff.font(inner, self.inline(part.children, font=inner), font)
        if part.type == "link":
            return self.inline(part.children, font=font) + self._target(str(part.attrGet("href")))
        if part.type in ("image", "html_inline"):
            return ""
        raise CanNotMake(f"a manual page has no way to show a {part.type} of docs/: {plain(part)!r}")

    def _span(self, text: str, font: str) -> str:
        """Code in bold, and what stands for something else in it in italics."""
        return "".join(
            roff.font("I" if number % 2 else "B", roff.unbroken(text, roff.code(piece)), font)
            for number, piece in enumerate(self.placeholders.split(text))
        )

    def _value(self, option: str) -> str:
        if not option.endswith("="):
            return ""
        if (name := option.rstrip("=")) not in self.values:
            raise CanNotMake(f"docs/ has a row for {option}, an option of which no program says what it takes")
        return roff.font("I", roff.prose(self.values[name]))

    def _target(self, target: str) -> str:
        if ":" in target:
            return f" <{_SLASH.sub(_BREAK, roff.code(target))}>"
        place = self.place(target)
        return f" in {place}" if place else ""  # a file of the repository is told by its name
