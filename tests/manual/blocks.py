"""Blocks of Markdown as man(7) has them: paragraphs, lists, tables as tagged paragraphs, and code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markdown_it.tree import SyntaxTreeNode as Node

from tests.manual import roff
from tests.manual.readme import CanNotMake, columns, inlines, lead, parsed, plain

Row = tuple[str, str]
"""A tag and what it means, in roff."""
MoreRows = Callable[[set[str]], Sequence[Row]]
"""Rows that follow those of a table; told which options that has."""
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
    """What a page knows when it turns the README's blocks into its own."""

    place: Callable[[str], str]
    """Where the section that a link names stands: "" on this page, or another one, as \"chatfile(7)\"."""
    placeholders: re.Pattern[str]
    values: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, MoreRows] = field(default_factory=dict)

    def render(self, blocks: Sequence[Node], *, led: bool = False) -> list[str]:
        """The lines of `blocks`; where they are `led`, the bold words at the beginning have become a heading."""
        return [
            line for number, block in enumerate(blocks) for line in self._block(block, drop_lead=led and number == 0)
        ]

    def markdown(self, text: str) -> list[str]:
        return self.render(parsed(text))

    def _block(self, block: Node, *, drop_lead: bool) -> Iterable[str]:
        if block.type == "paragraph":
            return self._paragraph(block, drop_lead=drop_lead)
        if block.type == "bullet_list":
            return (line for item in block.children for line in self._item(item))
        if block.type == "table":
            return tagged([*self._rows(block), *self._more_rows(block)])
        if block.type == "fence":
            return self._code(block)
        if block.type == "html_block":
            return ()  # a picture: nothing that a terminal shows
        raise CanNotMake(f"a manual page has no way to show a {block.type} of the README: {plain(block)!r}")

    def _paragraph(self, block: Node, *, drop_lead: bool) -> list[str]:
        parts = inlines(block)
        words = lead(block) if drop_lead else None
        if words is not None:
            parts = [*([] if plain(words).endswith(".") else words.children), *parts[1:]]
        text = self.inline(parts)
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

    def _more_rows(self, table: Node) -> Sequence[Row]:
        more = self.more.get(plain(columns(table)[0]))
        return () if more is None else more(set(self._options(table)))

    def _options(self, table: Node) -> Iterator[str]:
        """The options that have a row with something in it."""
        for tag, text, *_ in (row.children for row in table.children[1].children):
            if plain(text):
                yield from (part.content.rstrip("=") for part in inlines(tag) if part.type == "code_inline")

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
        raise CanNotMake(f"a manual page has no way to show a {part.type} of the README: {plain(part)!r}")

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
            raise CanNotMake(f"README.md has a row for {option}, an option of which no program says what it takes")
        return roff.font("I", roff.prose(self.values[name]))

    def _target(self, target: str) -> str:
        if target.startswith("#"):
            place = self.place(target.removeprefix("#"))
            return place and f" in {place}"
        if ":" not in target:
            return ""  # a file of the repository, which its name tells
        return f" <{_SLASH.sub(_BREAK, roff.code(target))}>"
