"""The README and `docs/`: complete, true of the programs, and made of commands that work when they are pasted."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from chatfile import errors, wire
from chatfile.cli.arguments import _FROM_ENVIRONMENT, parse_arguments
from chatfile.cli.commands import DESCRIPTIONS
from chatfile.cli.exits import ExitCode
from chatfile.cli.parser import command_line
from chatfile.options import Options
from tests.manual.docs import anchor, headings
from tests.support import ROOT
from tests.support.documents import DOCUMENTS, arguments, blocks, command_lines, links, simple_commands, spans
from tests.support.processes import PATIENCE, ServerProcess, unmeasured

README = DOCUMENTS["README.md"]
CLIENT, SERVER, PROTOCOL = (DOCUMENTS[f"docs/{name}.md"] for name in ("client", "server", "protocol"))
LONGEST_README = 250
NAMES = pytest.mark.parametrize("name", DOCUMENTS)


def test_the_readme_is_for_people_who_have_two_minutes() -> None:
    assert len(README.splitlines()) <= LONGEST_README


def test_the_readme_starts_and_tests_by_one_command_each() -> None:
    start, tests = (block.strip() for block in blocks(README, "sh")[:2])
    assert start == "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/twistd -n chatfile"
    assert tests == "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest"


# --- complete ---


def test_every_document_is_reached_from_the_readme() -> None:
    assert {f"docs/{path.name}" for path in ROOT.glob("docs/*")} <= {link.partition("#")[0] for link in links(README)}


def test_every_request_and_reply_is_documented() -> None:
    for line in wire.GRAMMAR.values():
        word = line.split()[0]
        assert f"`{word} " in PROTOCOL or line in PROTOCOL or f" {word}`" in PROTOCOL, line
    for request in set(get_args(wire.Request)) - {wire.Message}:
        assert re.search(rf"^\| `{request.__name__.lower()}[ `]", PROTOCOL, re.MULTILINE), request


def test_every_error_is_documented() -> None:
    for code in errors.REFUSALS:
        assert f"| `{code}` |" in PROTOCOL, code


def test_every_option_of_the_server_is_documented() -> None:
    for name in (*Options().longOpt,):
        assert f"`--{name}`" in SERVER, name


@pytest.mark.parametrize("text", [README, SERVER], ids=["README", "docs/server"])
def test_defaults_of_the_server_are_told_as_they_are(text: str) -> None:
    for name, _, default, *_ in Options.optParameters:
        for row in (line for line in text.splitlines() if re.match(rf"\|.*`--{name}=` \|", line)):
            assert default is None or row.rstrip(" |").endswith((f"{default}", f"`{default}`")), row


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield name
                yield from options_of(command)


def test_every_option_and_command_of_the_client_is_documented() -> None:
    for name in options_of(command_line()):
        assert re.search(rf"`{name}[=` ]", CLIENT), name


def test_every_word_of_the_prompt_is_documented() -> None:
    for word in DESCRIPTIONS:
        assert re.search(rf"`{re.escape(word)}[` ]", CLIENT), word


def test_every_variable_that_stands_for_an_option_is_documented() -> None:
    for option in _FROM_ENVIRONMENT:
        assert f"`CHATFILE_{option.upper()}`" in CLIENT, option


@pytest.mark.parametrize("text", [README, CLIENT], ids=["README", "docs/client"])
def test_every_exit_code_is_documented(text: str) -> None:
    for code in ExitCode:
        assert f"\n| {code.value} | " in text, code


def test_every_benchmark_is_documented() -> None:
    from tests.bench.__main__ import BENCHMARKS

    for name in BENCHMARKS:
        assert f"\n| `{name}` " in DOCUMENTS["docs/benchmarks.md"], name


# --- true ---


@NAMES
def test_every_link_leads_somewhere(name: str) -> None:
    for link in links(DOCUMENTS[name]):
        target, _, heading = link.partition("#")
        if ":" in target:
            continue
        path = ROOT / Path(name).parent / target if target else ROOT / name
        assert path.exists(), link
        assert not heading or heading in {anchor(each) for each in headings(path.read_text())}, link


@NAMES
def test_every_test_and_module_that_is_named_is_there(name: str) -> None:
    named = spans(DOCUMENTS[name])
    for test in (span for span in named if re.fullmatch(r"test_\w+", span)):
        assert list((ROOT / "tests").glob(f"**/{test}.py")), test
    for module in (found[1] for span in named if (found := re.match(r"python -m (tests\.\w+)", span))):
        assert importlib.util.find_spec(module), module


def test_every_place_that_the_architecture_names_is_there() -> None:
    for place in re.findall(r"`(\w+/\w+)`", DOCUMENTS["docs/architecture.md"]):
        assert (ROOT / "chatfile" / f"{place}.py").exists(), place


def test_the_units_and_the_documents_say_alike_how_they_are_set_up() -> None:
    unit = (ROOT / "deploy/chatfile.service").read_text()
    commands = [part for line in re.findall(r"^# {5}(\S.*)$", unit, re.MULTILINE) for part in line.split(" && ")]
    image = re.findall(r"^# (docker .*)$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)
    for text in (README, SERVER):
        shown = blocks(text, "sh")
        assert [block.splitlines() for block in shown if "systemctl" in block] == [commands]
        assert [block.splitlines() for block in shown if "docker" in block] == [image]


# --- commands ---


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the certificates that are made in `docs/tls.md`, by their names."""
    pytest.importorskip("OpenSSL", reason="TLS needs chatfile[tls]")
    from tests.support.certificates import Authority

    authority = Authority(tmp_path, "ca")
    for name in ("server", "alice"):
        shutil.copy(authority.issue(name), tmp_path / f"{name}.key")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(parse: Callable[[Sequence[str]], object], typed: Sequence[str]) -> object:
    """Return the exit status of a program of which only the command line is parsed."""
    try:
        parse(typed)
    except SystemExit as end:
        return end.code
    return 0


@NAMES
def test_every_command_of_the_client_parses(name: str) -> None:
    for line in command_lines(DOCUMENTS[name]):
        for typed in arguments(line, "chatfile-client"):
            assert status(parse_arguments, typed) == 0, line


@NAMES
@pytest.mark.usefixtures("somewhere")
def test_every_command_of_the_server_parses(name: str) -> None:
    for line in command_lines(DOCUMENTS[name]):
        of_twistd = [typed[typed.index("chatfile") + 1 :] for typed in arguments(line, "twistd")]
        for typed in (*of_twistd, *arguments(line, "chatfile-server")):
            assert status(Options().parseOptions, [*typed]) == 0, line


@NAMES
def test_every_command_line_is_one_for_a_shell(name: str) -> None:
    lines = command_lines(DOCUMENTS[name])
    script = "\n".join(lines)
    done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any("#" in word for line in lines for words in simple_commands(line) for word in words), (
        "zsh takes a comment for a command"
    )


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Paste `script` into a fresh shell in `folder`, which is the user's home as well."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = unmeasured() | {"HOME": str(folder), "PATH": programs}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


SETUPS = [block for text in (README, CLIENT) for block in blocks(text, "sh") if "--completion" in block]


@pytest.mark.parametrize("setup", SETUPS, ids=[f"{re.search('--completion (.*) >', block)[1]}" for block in SETUPS])  # type: ignore[index]
def test_completion_is_set_up_where_there_is_nothing_yet(setup: str, tmp_path: Path) -> None:
    done = shell(setup, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (script,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert "chatfile-client" in script.read_text()


COOKBOOK = re.findall(r": `([^`]+)`$", README.partition("\n## Cookbook\n")[2].partition("\n## ")[0], re.MULTILINE)


@pytest.mark.slow
def test_the_cookbook_works_word_for_word(tmp_path: Path) -> None:
    assert len(COOKBOOK) == 14
    with ServerProcess(ROOT / "server_files") as server:
        for line in COOKBOOK:
            missing = [words[0] for words in simple_commands(line) if words[0] not in ("cd",) and not which(words[0])]
            if missing or line.endswith(" watch"):  # which has no end
                continue
            here = line.replace("chatfile-client", f"chatfile-client -s 127.0.0.1:{server.port}")
            done = shell(here.replace("127.0.0.1 5000", f"127.0.0.1 {server.port}"), tmp_path)
            assert (done.returncode, bool(done.stdout)) == (0, True), (line, done)
    assert (tmp_path / "hello.txt").read_bytes() == (ROOT / "server_files/welcome.txt").read_bytes()


def which(program: str) -> bool:
    """Tell whether there is such a program here, our own among them."""
    return bool(shutil.which(program) or (Path(sys.executable).parent / program).exists())
