"""The manual pages: what `docs/` makes of them now, complete, and shown by groff as it was meant."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from chatfile import errors
from chatfile.cli.exits import ExitCode
from tests.manual import programs
from tests.manual.blocks import CODE_WIDTH, Blocks, continued
from tests.manual.docs import CanNotMake, Docs
from tests.manual.making import ROOT, made, path
from tests.manual.pages import CLIENT, PAGES, PROTOCOL, SERVER, Page
from tests.support.processes import PATIENCE

TEXTS = {path.name: path.read_text() for path in ROOT.glob("docs/*.md")}
ANGLES = PROTOCOL.placeholders


@pytest.fixture(scope="module", params=PAGES, ids=str)
def page(request: pytest.FixtureRequest) -> Page:
    return request.param


def written(page: Page) -> str:
    return path(page).read_text()


def unescaped(line: str) -> str:
    return re.sub(r"\\f[BIR]|\\(?=[ -])", "", line)


def tags(page: Page) -> Iterator[str]:
    """Every option, command or code at the head of a tagged paragraph, without what it takes."""
    for tag in re.findall(r"^\.TP\n(.*)", written(page), re.MULTILINE):
        yield from (re.split("[= ]", part)[0] for part in unescaped(tag).split(", "))


def markdown(text: str) -> list[str]:
    """The lines that `text` makes on a page where every link leads to chatfile(7)."""
    return Blocks(lambda _anchor: "chatfile(7)", ANGLES, {"--to": "PLACE"}).markdown(text)


def changed(file: str, old: str, new: str) -> Docs:
    """All texts, of which one is another."""
    text = re.sub(old, new, TEXTS[file], count=1, flags=re.MULTILINE)
    assert text != TEXTS[file]
    return Docs(TEXTS | {file: text})


def test_the_pages_are_those_that_the_docs_make(page: Page) -> None:
    assert written(page) == made(page, Docs(TEXTS)), (
        "docs/ or a program's options have changed: python -m tests.manual writes the pages anew"
    )


def test_the_wheel_puts_the_pages_where_man_looks(page: Page) -> None:
    name = path(page).name
    line = f'"deploy/man/{name}" = "share/man/man{page.section}/{name}"'
    assert line in (ROOT / "pyproject.toml").read_text().splitlines()


def test_every_option_and_command_of_the_client_has_its_place() -> None:
    options = {option for _, action in programs.client_actions() for option in action.option_strings}
    assert options | set(programs.commands()) <= set(tags(CLIENT))


def test_every_command_of_the_client_is_in_the_synopsis() -> None:
    synopsis = unescaped(written(CLIENT).partition(".YS")[0])
    for name in programs.commands():
        assert f"[options] {name}" in synopsis, name


def test_every_option_of_the_server_has_its_place() -> None:
    assert programs.server_options() <= set(tags(SERVER))


def test_every_exit_code_has_its_place() -> None:
    assert {str(code.value) for code in ExitCode} <= set(tags(CLIENT))


def test_every_error_has_its_place_in_the_protocol() -> None:
    assert set(errors.REFUSALS) <= set(tags(PROTOCOL))


def test_an_option_stands_once(page: Page) -> None:
    options = [tag for tag in tags(page) if tag.startswith("-")]
    assert sorted(options) == sorted(set(options))


@pytest.mark.parametrize(
    ("page", "file", "heading"),
    [
        (CLIENT, "tls.md", "The server"),
        (CLIENT, "tls.md", "A private authority"),
        (SERVER, "tls.md", "The client"),
        (SERVER, "threats.md", "What is promised"),
    ],
    ids=str,
)
def test_a_heading_that_is_gone_is_named(page: Page, file: str, heading: str) -> None:
    with pytest.raises(CanNotMake, match=f'{file} has nothing under a heading "{heading}'):
        made(page, changed(file, rf"^(#+ ){heading}", r"\1Something else"))


@pytest.mark.parametrize("file", ["client.md", "tls.md", "server.md", "threats.md", "protocol.md"])
def test_a_file_that_is_gone_is_named(file: str) -> None:
    gone = Docs({name: text for name, text in TEXTS.items() if name != file})
    page = next(page for page in PAGES if file in {part.file for part in page.parts})
    with pytest.raises(CanNotMake, match=f"docs/{file}, of which manual pages are made, is missing"):
        made(page, gone)


def test_an_option_that_no_program_has_is_named() -> None:
    with pytest.raises(CanNotMake, match="--fro="):
        markdown("| option | |\n| --- | --- |\n| `--fro=` | whence |\n")


@pytest.mark.parametrize("target", ["benchmarks.md", "threats.md#what-it-cant-do", "client.md#nowhere", "#nowhere"])
def test_a_link_to_what_no_page_has_is_named(target: str) -> None:
    with pytest.raises(CanNotMake, match=f"(links|leads) to (docs/)?.*{target}"):
        made(SERVER, changed("server.md", r"\(tls\.md\)", f"({target})"))


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("tls.md#the-server", "there."),
        ("tls.md#the-client", r"there in \fBchatfile\-client\fR(1)."),
        ("protocol.md", r"there in \fBchatfile\fR(7)."),
        ("../deploy/chatfile.service", "there."),
    ],
)
def test_a_link_leads_to_the_page_that_has_it(target: str, shown: str) -> None:
    page = made(SERVER, changed("server.md", r"^There are two ways", f"Look [there]({target}).\n\nThere are two ways"))
    assert f"\n.PP\nLook {shown}\n" in page


def test_a_new_section_has_its_place() -> None:
    text = "\n## The moon\n\nIt shines.\n\n## "
    assert "\n.SH THE MOON\nIt shines.\n" in made(CLIENT, changed("client.md", "\n## ", text))
    assert "\n.SS The moon\nIt shines.\n" in made(SERVER, changed("tls.md", "\n## ", text))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("**Bold** and `co-de`.", [r"\fBBold\fR and \fBco\-de\fR."]),
        ("One. Two (three). `Four` v. five.", ["One.", "Two (three).", r"\fBFour\fR v. five."]),
        ("`get <name>`", [r"\fBget\ \fR\fIname\fR"]),
        ("**in `it`** out", [r"\fBin \fBit\fB\fR out"]),
        ("half-close, -1 \\\\ \\`", [r"half-close, \-1 \(rs \(ga"]),
        (".dot", [r"\&.dot"]),
        ("ü… \u2013 ~^", [r"\[u00FC]\[u2026] \[u2013] \(ti\(ha"]),
        ("[there](https://a.b/c)", [r"there <https://a.b/\:c>"]),
        ("**Note:** all.", [r"\fBNote:\fR all."]),
        ("[there](#a)", ["there in chatfile(7)"]),
        ("![a picture](a.svg) and words", ["and words"]),
    ],
)
def test_markdown_becomes_roff(text: str, lines: list[str]) -> None:
    assert markdown(text) == [".PP", *lines]


def test_a_row_becomes_a_tagged_paragraph() -> None:
    table = "| option | meaning | default | then |\n| --- | --- | --- | --- |\n| `--to=` | where | `here` | closes |\n"
    assert markdown(table) == [".TP", r"\fB\-\-to=\fR\fIPLACE\fR", "Where (closes).", r"Default: \fBhere\fR."]


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("done", ["Done."]),
        ("so. (Or so.)", ["So.", "(Or so.)"]),
        ("`a:` (`b:`)", [r"\fBa:\fR (\fBb:\fR)."]),
        ("what, ...", ["What, ..."]),
    ],
)
def test_a_cell_becomes_sentences(cell: str, lines: list[str]) -> None:
    assert markdown(f"| a | b |\n| --- | --- |\n| x | {cell} |\n") == [".TP", "x", *lines]


def test_a_row_of_which_nothing_is_said_is_left_out() -> None:
    assert markdown("| a | b |\n| --- | --- |\n| x | |\n") == []


def test_what_has_no_place_in_a_page_is_named() -> None:
    with pytest.raises(CanNotMake, match="blockquote"):
        markdown("> words")


def test_a_long_command_is_continued_before_options() -> None:
    command = f'do -a "{"x" * CODE_WIDTH}" -b'
    assert continued(command) == f'do \\\n    -a "{"x" * CODE_WIDTH}" \\\n    -b'


@pytest.mark.parametrize(
    "command", ["do -a", f'do "{"x" * CODE_WIDTH} -b"', f"do -a  # {'x' * CODE_WIDTH} -b", "'" * 99]
)
def test_a_command_that_can_not_be_cut_stays(command: str) -> None:
    assert continued(command) == command


def groff(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("groff") is None:
        pytest.skip("there is no groff here")
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", *options]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE, check=True)


@pytest.mark.parametrize("columns", [80, 60])
def test_groff_finds_nothing_wrong(page: Page, columns: int) -> None:
    assert groff(written(page), f"-rLL={columns}n").stderr == ""


def test_code_is_shown_as_it_is_typed() -> None:
    code = [".a 'b' \"c\" -d --e `f` ^g ~h \\i \\n \\(em", "'j", "grüße 34 % ━╺ Привет", "", "<name> $k | l"]
    page = [".TH A 1", ".SH B", *markdown("\n".join(["```", *code, "```"]))]
    shown = groff("\n".join([*page, ""])).stdout
    assert "\n".join(code) in "\n".join(line.strip() for line in shown.splitlines())


def test_no_word_is_hyphenated_in_a_narrow_window(page: Page) -> None:
    narrow, wide = ("".join(groff(written(page), f"-rLL={columns}n").stdout.split()) for columns in (60, 300))
    assert narrow == wide
