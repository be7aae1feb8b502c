"""Shell completion: what the scripts hold, and what bash is answered."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from chatfile.cli.arguments import parse_arguments
from chatfile.cli.exits import ExitCode
from chatfile.cli.run import run
from chatfile.completions import SHELLS, Kind, Program, script
from chatfile.options import Options
from tests.support.completing import AWKWARD, CLIENT, LISTING, ODD, PLAIN, SERVER, put_stand_in, replies, words
from tests.support.processes import PATIENCE
from tests.support.started import program as path_of

ALL = ["get", "hash", "help", "list", "send", "status", "watch"]
NO_FILES = "compopt +o default"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", [CLIENT, SERVER], ids=lambda program: program.name)
def test_every_option_and_command_stands_in_every_script(program: Program, shell: str) -> None:
    text = script(program, shell)
    names = {name for _, option in program.every_option() for name in option.names}
    for name in names | {command.name for command in program.commands}:
        bare = name.lstrip("-") if shell == "fish" else name
        assert re.search(rf"(?<![\w-]){re.escape(bare)}(?![\w-])", text), name


def test_the_description_knows_what_the_parsers_take() -> None:
    kinds = {name: option.value and option.value.kind for _, option in CLIENT.every_option() for name in option.names}
    assert {name for name, kind in kinds.items() if kind is Kind.FILE} == {
        "--cafile", "--cert", "--key", "-o", "--output",
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind is Kind.FOLDER} == {"-d", "--downloads"}
    assert (kinds["--completion"], kinds["--timeout"], kinds["-q"]) == (Kind.WORD, Kind.ANYTHING, None)
    remote = {each.name for each in CLIENT.commands for one in each.arguments if one.value.kind is Kind.REMOTE}
    assert remote == {"get", "hash", "list"}


def test_the_description_knows_what_the_server_takes() -> None:
    options = {option.names[-1]: option for option in SERVER.anywhere}
    kinds = {name: option.value.kind for name, option in options.items() if option.value}
    assert {name for name, kind in kinds.items() if kind is Kind.FILE} == {"--certificate", "--key", "--client-ca"}
    assert [name for name, kind in kinds.items() if kind is Kind.FOLDER] == ["--files"]
    assert options["--port"].names == ("-p", "--port")
    assert [name for name, option in options.items() if option.may_repeat] == ["--port"]
    assert options["--no-digest"].value is None


@pytest.mark.parametrize("shell", SHELLS)
def test_the_programs_show_their_own_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(parse_arguments(["--completion", shell])) == ExitCode.DONE
    assert capsys.readouterr().out == script(CLIENT, shell)
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions([f"--completion={shell}"])
    assert (ended.value.code, capsys.readouterr().out) == (0, script(SERVER, shell))


def test_another_shell_is_usage_and_those_that_there_are_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--completion", "tcsh"])
    assert (ended.value.code, "'tcsh' is none of bash, zsh, fish" in capsys.readouterr().err) == (2, True)
    with pytest.raises(Exception, match="'tcsh' is none of bash, zsh, fish"):
        Options().parseOptions(["--completion", "tcsh"])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "told"), [("chatfile-client", (8, 1)), ("chatfile-server", (1, 2))])
def test_a_script_that_can_not_be_written_is_told_in_words(name: str, told: tuple[int, int], tmp_path: Path) -> None:
    around = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        command = [path_of(name), "--completion=fish"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=around, check=False, timeout=PATIENCE)
    assert (done.returncode, len(done.stderr.splitlines())) == told
    assert done.stderr.startswith(f"{name}: ".encode())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ALL),
        ("st", ["status"]),
        ("--qu", ["--quiet"]),
        ("--completion ", [*SHELLS]),
        ("--completion=z", ["zsh"]),
        ("--ver", ["--version"]),
        ("list --ver", []),
        ("get --o", ["--output"]),
        ("--o", []),
        ("-q --qu", []),
        ("--server=x --ser", []),
        ("-sx --ser", []),
        ("-s list li", ["list"]),
        ("--timeout ", []),
        ("send ", []),
        ("nonsense ", []),
        ("send -- --qu", []),
        ("--cafile 'my file' 2>out st", ["status"]),
        ("> st", None),
        ("--cafile ", None),
        ("get --cert=", None),
        ("get x -o ", None),
    ],
)
def test_what_bash_is_answered(line: str, expected: list[str] | None, tmp_path: Path) -> None:
    came = replies(CLIENT, script(CLIENT, "bash"), f"chatfile-client {line}", tmp_path)
    assert (came[:1], sorted(came[1:])) == (([NO_FILES], sorted(expected)) if expected is not None else ([], []))


def test_bash_looks_for_folders_itself(tmp_path: Path) -> None:
    for program, option in ((CLIENT, "-d"), (SERVER, "--files")):
        line = f"{program.name} {option} "
        assert replies(program, script(program, "bash"), line, tmp_path) == [NO_FILES, "compopt -o dirnames"]


def test_what_may_be_repeated_is_offered_again(tmp_path: Path) -> None:
    assert replies(PLAIN, script(PLAIN, "bash"), "plain-one --more --flag --", tmp_path) == [NO_FILES, "--more"]


def listed(line: str, folder: Path, *names: str, behind: str = "", before: str = "") -> list[str]:
    path = put_stand_in(folder, "listing-one", [*names])
    text = script(LISTING, "bash")
    came = replies(LISTING, text, line, folder, behind=behind, before=before, path=str(path))
    return [reply for reply in came if reply != NO_FILES]


@pytest.mark.parametrize(
    ("typed", "name", "reply"),
    [
        ("two\\ w", "two words", "two\\ words"),
        ("'two w", "two words", "two words"),
        ('"a', 'a"$b`\\!', 'a\\"\\$b\\`\\\\"\\!"'),
        ("'i", "it's", "it'\\''s"),
        ("a:b=", "a:b=c d", "c\\ d"),
        ('"a:b', "a:b=c d", "a:b=c d"),
        ('a" "', "a b", "a\\ b"),
        ("x\\", "x y", "x\\ y"),
        ("-- -", "-dash", "-dash"),
        ("\\ ", "  lead", "\\ \\ lead"),
    ],
)
def test_a_name_is_quoted_as_the_word_is(typed: str, name: str, reply: str, tmp_path: Path) -> None:
    assert listed(f"listing-one get {typed}", tmp_path, name, "other") == [reply]


@pytest.mark.parametrize(
    ("line", "behind", "asked"),
    [
        ("-s a:1 get ", "", ["-s", "a:1"]),
        ("get --server=a:1 ", "", ["--server=a:1"]),
        ("get -sa:1 ", "", ["-sa:1"]),
        ("--server 'a b' get ", "", ["--server", "a b"]),
        ("--server ~/x get ", "", ["--server", "/home/me/x"]),
        ("get ", " --server a:1", ["--server", "a:1"]),
        ("get 'x", " y' --server a:1", ["--server", "a:1"]),
        ("get -- ", " --server a:1", []),
    ],
)
def test_the_listing_is_that_of_the_server_of_the_line(
    line: str, behind: str, asked: list[str], tmp_path: Path
) -> None:
    listed(f"listing-one {line}", tmp_path, "x", behind=behind)
    assert words(tmp_path / "asked") == [*asked, "list"]


def test_what_would_be_taken_for_something_else_is_not_offered(tmp_path: Path) -> None:
    assert listed("listing-one get ", tmp_path, "-dash", "shown\\u202eescaped", "one\\xad", "plain") == ["plain"]


@pytest.mark.parametrize(
    "before",
    [
        "set -euf; set -o posix",
        "IFS=ist",
        "COMP_WORDBREAKS=' '",
        "shopt -s failglob",
        "compopt() { not-there; }",
    ],
)
def test_bash_may_be_set_in_any_way_and_have_no_compopt(before: str, tmp_path: Path) -> None:
    assert listed("listing-one get ", tmp_path, "its *", before=before) == ["its\\ \\*"]
    assert "--server" in replies(LISTING, script(LISTING, "bash"), "listing-one --ser", tmp_path, before=before)


def test_bash_is_left_as_it_was(tmp_path: Path) -> None:
    state = "{ compgen -v | grep -v -e ^COMP -e ^BASH_ARG -e ^BASH_TRAP -e PIPESTATUS -e ^_$; echo $- $BASHOPTS; }"
    text = f"{state} > before\n{script(CLIENT, 'bash')}"
    replies(CLIENT, text, "chatfile-client 2> a --cafile=a get -", tmp_path, before=f"trap '{state} > after' EXIT")
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


def test_meanings_and_choices_are_inert_in_bash(tmp_path: Path) -> None:
    for line in ("odd-one --choose ", "odd-one do "):
        quoted = replies(ODD, script(ODD, "bash"), line, tmp_path)[1]
        assert shlex.split(quoted) == [AWKWARD]
    assert not list(tmp_path.iterdir())
