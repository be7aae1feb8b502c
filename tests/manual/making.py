"""A page, made of the README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.manual import roff
from tests.manual.blocks import Blocks
from tests.manual.pages import FIRST, LAST, MANUALS, PAGES, TITLES, Page, Part
from tests.manual.readme import CanNotMake, Passage, Readme, passages

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "deploy" / "man"

# Ragged right and without hyphenation, so that names and options can be read and searched for as they are. The register
# is for .YS and .EE, which turn on again what it says.
_LAYOUT = (".ad l", ".nh", ".nr HY 0")


def path(page: Page) -> Path:
    return FOLDER / f"{page.name}.{page.section}"


def version() -> str:
    found = re.search(r'^version = "([^"]+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    if found is None:
        raise CanNotMake("pyproject.toml says no version, which manual pages show")
    return found[1]


def made(page: Page, readme: Readme) -> str:
    """The page, as it is to be in its file."""
    title = f'.TH {roff.code(page.name.upper())} {page.section} "" "chatfile {version()}" "{MANUALS[page.section]}"'
    lines = [r'.\" Made from README.md by "python -m tests.manual": change that one, not this one.', title, *_LAYOUT]
    sections = _sections(page, readme)
    for name in sorted(sections, key=_rank):
        lines += [roff.heading(".SH", name), *sections[name]]
    text = "\n".join(lines) + "\n"
    return re.sub(r"^(\.S[HS] .*)\n\.PP$", r"\1", text, flags=re.MULTILINE)  # a heading begins a paragraph already


def _rank(title: str) -> int:
    if title in FIRST:
        return FIRST.index(title) - len(FIRST)
    return LAST.index(title) + 1 if title in LAST else 0


def _sections(page: Page, readme: Readme) -> dict[str, list[str]]:
    blocks = Blocks(lambda anchor: _place(page, readme, anchor), page.placeholders, page.values, page.more)
    sections = {"NAME": [f"{roff.code(page.name)} \\- {roff.prose(page.purpose)}"]}
    if page.synopsis is not None:
        sections["SYNOPSIS"] = page.synopsis()
    if page.is_introduced:
        sections["DESCRIPTION"] = blocks.render(readme.section("chatfile"))
    for part in page.parts:
        for title, lines in (_one if part.title else _each)(part, readme, blocks):
            sections.setdefault(title, []).extend(lines)
    sections |= {title: blocks.markdown(text) for title, text in page.own.items()}
    if page.examples:
        sections["EXAMPLES"] = blocks.render(list(readme.examples("Talk to it", page.examples)))
    sections["SEE ALSO"] = [", ".join(_reference(other) for other in page.see_also)]
    return sections


def _one(part: Part, readme: Readme, blocks: Blocks) -> Iterator[tuple[str, list[str]]]:
    """A section of the README as one section of a page."""
    for passage in _passages(part, readme):
        heading = [roff.heading(".SS", passage.name)] if passage.name else []
        yield part.title, [*heading, *_lines(passage, blocks)]


def _each(part: Part, readme: Readme, blocks: Blocks) -> Iterator[tuple[str, list[str]]]:
    """Each passage as a section; what stands before the first that has a name describes the whole."""
    for passage in _passages(part, readme):
        yield TITLES.get(passage.name, passage.name.upper() or "DESCRIPTION"), _lines(passage, blocks)


def _passages(part: Part, readme: Readme) -> list[Passage]:
    return [passage for passage in passages(readme.section(part.heading)) if passage.name not in part.without]


def _lines(passage: Passage, blocks: Blocks) -> list[str]:
    return blocks.render(passage.blocks, led=bool(passage.name))


def _place(page: Page, readme: Readme, anchor: str) -> str:
    """Where `page` sends the reader who follows a link to `anchor`: "" where that is on the page itself."""
    heading = readme.heading(anchor)
    found = [other for other in (page, *PAGES) if heading in {part.heading for part in other.parts}]
    if not found:
        raise CanNotMake(
            f"README.md links to #{anchor} in a text of which {page} is made, but no manual page has that section:"
            " leave the link out, or give the section a page in tests/manual/pages.py"
        )
    return "" if found[0] is page else _reference(str(found[0]))


def _reference(page: str) -> str:
    name, _, section = page.partition("(")
    return f"{roff.font('B', roff.code(name))}({section}"
