"""A manual page, made of `docs/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.manual import roff
from tests.manual.blocks import Blocks
from tests.manual.docs import CanNotMake, Docs, Section
from tests.manual.pages import FIRST, LAST, MANUALS, PAGES, TITLES, Page, Part

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


def made(page: Page, docs: Docs) -> str:
    """Return the page, as it is to be in its file."""
    title = f'.TH {roff.code(page.name.upper())} {page.section} "" "chatfile {version()}" "{MANUALS[page.section]}"'
    origin = ", ".join(f"docs/{part.file}" for part in page.parts)
    lines = [rf'.\" Made from {origin} by "python -m tests.manual": change these, not this.', title, *_LAYOUT]
    sections = _sections(page, docs)
    for name in sorted(sections, key=_rank):
        lines += [roff.heading(".SH", name), *sections[name]]
    text = "\n".join(lines) + "\n"
    return re.sub(r"^(\.S[HS] .*)\n\.PP$", r"\1", text, flags=re.MULTILINE)  # a heading begins a paragraph already


def _rank(title: str) -> int:
    if title in FIRST:
        return FIRST.index(title) - len(FIRST)
    return LAST.index(title) + 1 if title in LAST else 0


def _sections(page: Page, docs: Docs) -> dict[str, list[str]]:
    sections = {"NAME": [f"{roff.code(page.name)} \\- {roff.prose(page.purpose)}"]}
    if page.synopsis is not None:
        sections["SYNOPSIS"] = page.synopsis()
    for part in page.parts:
        blocks = Blocks(_Places(page, part.file, docs).of, page.placeholders, page.values)
        for title, lines in (_one if part.title else _each)(part, docs, blocks):
            sections.setdefault(title, []).extend(lines)
    sections["SEE ALSO"] = [", ".join(_reference(other) for other in page.see_also)]
    return sections


def _one(part: Part, docs: Docs, blocks: Blocks) -> Iterator[tuple[str, list[str]]]:
    """Yield what `part` takes as one section of a page."""
    for section in _taken(part, docs):
        heading = [roff.heading(".SS", section.name)] if section.name and not part.only else []
        yield part.title, [*heading, *blocks.render(section.blocks)]


def _each(part: Part, docs: Docs, blocks: Blocks) -> Iterator[tuple[str, list[str]]]:
    """Yield each section as one of the page; what stands before the first heading describes the whole."""
    for section in _taken(part, docs):
        yield TITLES.get(section.name, section.name.upper()), blocks.render(section.blocks)


def _taken(part: Part, docs: Docs) -> list[Section]:
    if part.only:
        return [docs.section(part.file, part.only)]
    for name in ("", *part.without):
        docs.section(part.file, name)
    return [section for section in docs.sections(part.file) if part.has(section.name)]


class _Places:
    """Tells where `page` sends the reader of `file` who follows a link."""

    def __init__(self, page: Page, file: str, docs: Docs) -> None:
        self._page, self._file, self._docs = page, file, docs

    def of(self, target: str) -> str | None:
        """Return another page, as "chatfile(7)"; "" where it is on the page itself; None for what is no page of docs.

        Raises `CanNotMake` where no manual page has it.
        """
        file, _, anchor = target.partition("#")
        if file and not re.fullmatch(r"[a-z]+\.md", file):
            return None
        file = file or self._file
        name = self._docs.linked(file, anchor)
        found = [other for other in (self._page, *PAGES) if other.has(file, name)]
        if not found:
            raise CanNotMake(
                f"docs/{self._file} links to {target} in a text of which {self._page} is made, but no manual page has"
                " that section: leave the link out, or give the section a page in tests/manual/pages.py"
            )
        return "" if found[0] is self._page else _reference(str(found[0]))


def _reference(page: str) -> str:
    name, _, section = page.partition("(")
    return f"{roff.font('B', roff.code(name))}({section}"
