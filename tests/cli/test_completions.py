"""Shell completion: what the programs answer to a Tab, as bash is given it, and how little that costs."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatfile.cli.arguments import parse_arguments
from chatfile.completion import SHELLS, script
from chatfile.options import Options
from tests.support.completing import AWKWARD, CLIENT, ODD, PLAIN, SERVER, put_stand_in, replies
from tests.support.processes import PATIENCE, unmeasured
from tests.support.started import program as path_of

ALL = ["get", "hash", "help", "list", "mirror", "send", "status", "sums", "tree", "watch"]
HERE = ["bin/", "rows", "script"]
"""The files that the tests put there."""


def options(program: str) -> list[str]:
    """Return the words with a dash in what --help shows of a program."""
    shown = subprocess.check_output([path_of(program), "--help"], text=True, timeout=PATIENCE)
    named = (word.strip(",=[]").partition("=")[0] for line in shown.splitlines() for word in line.split()[:3])
    return [word for word in named if word.startswith("--") and word != "--"]


@pytest.mark.parametrize("program", [CLIENT, SERVER])
def test_every_option_is_offered(program: str, tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, program, [])
    assert {*options(program)} <= {*replies(program, tmp_path, f"{program} -", path=path)}
    assert len(options(program)) > 9


@pytest.mark.parametrize(
    ("program", "shell"),
    [
        (CLIENT, "bash"),
        (SERVER, "zsh"),
        pytest.param(CLIENT, "zsh", marks=pytest.mark.slow),
        pytest.param(CLIENT, "fish", marks=pytest.mark.slow),
        pytest.param(SERVER, "bash", marks=pytest.mark.slow),
        pytest.param(SERVER, "fish", marks=pytest.mark.slow),
    ],
)
def test_the_programs_show_their_own_script(program: str, shell: str) -> None:
    command = [path_of(program), "--completion", shell]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert (shown.stdout, shown.stderr) == (script(program, shell), "")
    assert program in shown.stdout


def test_another_shell_is_usage_and_those_that_there_are_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--completion", "tcsh"])
    assert (ended.value.code, "unknown shell 'tcsh' (choose bash, zsh or fish)" in capsys.readouterr().err) == (2, True)
    with pytest.raises(Exception, match="unknown shell 'tcsh'"):
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
        pytest.param("--qu", ["--quiet"], marks=pytest.mark.slow),
        pytest.param("--completion ", [*SHELLS], marks=pytest.mark.slow),
        ("--completion=z", ["zsh"]),
        pytest.param("--ver", ["--version"], marks=pytest.mark.slow),
        pytest.param("list --ver", [], marks=pytest.mark.slow),
        ("get --o", ["--output"]),
        pytest.param("get x --o", ["--output"], marks=pytest.mark.slow),
        pytest.param("--o", [], marks=pytest.mark.slow),
        pytest.param("-q --qu", [], marks=pytest.mark.slow),
        pytest.param("-q list --qu", [], marks=pytest.mark.slow),
        pytest.param("-qsx --ser", [], marks=pytest.mark.slow),
        pytest.param("--server=x --ser", [], marks=pytest.mark.slow),
        pytest.param("-sx --ser", [], marks=pytest.mark.slow),
        pytest.param("-s list li", ["list"], marks=pytest.mark.slow),
        pytest.param("--timeout ", [], marks=pytest.mark.slow),
        ("--timeout x --qu", ["--quiet"]),
        ("send ", []),
        pytest.param("status ", [], marks=pytest.mark.slow),
        pytest.param("nonsense ", [], marks=pytest.mark.slow),
        pytest.param("nonsense --qu", [], marks=pytest.mark.slow),
        pytest.param("send -- --qu", [], marks=pytest.mark.slow),
        pytest.param("get --nonsense=", [], marks=pytest.mark.slow),
        ("--cafile 'my file' 2>out st", ["status"]),
        ("> s", ["script"]),
        pytest.param(">s", ["script"], marks=pytest.mark.slow),
        pytest.param("> nowhere/", [], marks=pytest.mark.slow),
        ("--cafile ", HERE),
        pytest.param("get --cert=", HERE, marks=pytest.mark.slow),
        pytest.param("get x -o ", HERE, marks=pytest.mark.slow),
        pytest.param("--key bin/", [f"bin/{CLIENT}"], marks=pytest.mark.slow),
        pytest.param("--key $'", [], marks=pytest.mark.slow),
        pytest.param("-d ", ["bin/"], marks=pytest.mark.slow),
    ],
)
def test_what_bash_is_answered(line: str, expected: list[str], tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, CLIENT, [])
    assert sorted(replies(CLIENT, tmp_path, f"{CLIENT} {line}", path=path)) == sorted(expected)
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--files ", ["bin/"]),
        pytest.param("--client-ca=s", ["script"], marks=pytest.mark.slow),
        ("-p 1 -p 2 --po", ["--port"]),
        pytest.param("", [], marks=pytest.mark.slow),
        pytest.param("--key ", HERE, marks=pytest.mark.slow),
        pytest.param("--completion f", ["fish"], marks=pytest.mark.slow),
        pytest.param("--log-format ", ["json", "text"], marks=pytest.mark.slow),
        pytest.param("--no-digest --no", [], marks=pytest.mark.slow),
        pytest.param("--history ", [], marks=pytest.mark.slow),
    ],
)
def test_what_the_server_takes(line: str, expected: list[str], tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, SERVER, [])
    assert sorted(replies(SERVER, tmp_path, f"{SERVER} {line}", path=path)) == expected


def test_bash_offers_no_files_of_its_own() -> None:
    (registered,) = (line for line in script(CLIENT, "bash").splitlines() if line.lstrip().startswith("complete "))
    assert registered.split() == ["complete", "-o", "nospace", "-F", "_python_argcomplete", CLIENT]


def test_what_may_be_repeated_is_offered_again(tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, PLAIN, [])
    assert replies(PLAIN, tmp_path, "plain-one --more x --flag --", path=path) == ["--help", "--more"]


def listed(line: str, folder: Path, *names: str, behind: str = "", before: str = "") -> list[str]:
    path = put_stand_in(folder, CLIENT, [*names])
    return replies(CLIENT, folder, f"{CLIENT} {line}", behind=behind, before=before, path=path)


@pytest.mark.parametrize(
    ("typed", "name", "reply"),
    [
        ("two\\ w", "two words", "two\\ words"),
        pytest.param("'two w", "two words", "two words", marks=pytest.mark.slow),
        ('"a', 'a"$b`\\!', 'a\\"\\$b\\`\\\\"\\!"'),
        ("'i", "it's", "it'\\''s"),
        pytest.param("a:b=", "a:b=c d", "c\\ d", marks=pytest.mark.slow),
        pytest.param("a:b=c@", "a:b=c@d e", "@d\\ e", marks=pytest.mark.slow),
        pytest.param('"a:b', "a:b=c d", "a:b=c d", marks=pytest.mark.slow),
        pytest.param('a:"b', "a:b=c d", "b=c d", marks=pytest.mark.slow),
        ('"a\\"', 'a"b c', 'a\\"b c'),
        pytest.param('a" "', "a b", "a\\ b", marks=pytest.mark.slow),
        pytest.param("x\\", "x y", "x\\ y", marks=pytest.mark.slow),
        pytest.param("-- -", "-dash", "-dash", marks=pytest.mark.slow),
        pytest.param("\\ ", "  lead", "\\ \\ lead", marks=pytest.mark.slow),
        pytest.param("a#", "a#b c", "a\\#b\\ c", marks=pytest.mark.slow),
        pytest.param("x#y a", "a b", "a\\ b", marks=pytest.mark.slow),
        pytest.param("\\~", "~tilde", "\\~tilde", marks=pytest.mark.slow),
        pytest.param("'*", "* b", "* b", marks=pytest.mark.slow),
        ("g", "grüße 🎉.txt", "grüße\\ 🎉.txt"),
    ],
)
def test_a_name_is_quoted_as_the_word_is(typed: str, name: str, reply: str, tmp_path: Path) -> None:
    (tmp_path / "a b").touch()
    assert listed(f"get {typed}", tmp_path, name, "other") == [reply]


@pytest.mark.parametrize(
    ("line", "behind", "asked"),
    [
        pytest.param("-s a:1 get ", "", {"server": "a:1"}, marks=pytest.mark.slow),
        ("get --server=a:1 ", "", {"server": "a:1"}),
        pytest.param("get -sa:1 ", "", {"server": "a:1"}, marks=pytest.mark.slow),
        pytest.param("get -qsa:1 ", "", {"server": "a:1"}, marks=pytest.mark.slow),
        pytest.param("--server 'a b' get ", "", {"server": "a b"}, marks=pytest.mark.slow),
        pytest.param("--cafile ~/x --wait 9 get ", "", {"cafile": "/home/me/x", "wait": "9"}, marks=pytest.mark.slow),
        ("-d . --json --force hash ", " -o y", {"downloads": ".", "output": "y"}),
        pytest.param("get ", " --server a:1", {"server": "a:1"}, marks=pytest.mark.slow),
        ("get 'x", " y' --server a:1", {"server": "a:1"}),
        ("get -- ", " --server a:1", {}),
        pytest.param("get > out ", " 2>err", {}, marks=pytest.mark.slow),
    ],
)
def test_the_listing_is_that_of_the_server_of_the_line(
    line: str, behind: str, asked: dict[str, str], tmp_path: Path
) -> None:
    assert listed(line, tmp_path, "x", behind=behind) == ["x"]
    assert json.loads((tmp_path / "asked").read_text()) == asked


def test_what_would_be_taken_for_something_else_is_not_offered(tmp_path: Path) -> None:
    names = ("-dash", "shown\u202eescaped", "one\xad", "two\nlines", "bell\a", "plain\\u202e")
    assert listed("get ", tmp_path, *names) == ["plain\\\\u202e"]
    (tmp_path / "two\nlines").touch()
    (tmp_path / "a\x1b[31mb").touch()
    came = replies(CLIENT, tmp_path, f"{CLIENT} --key ", path=tmp_path / "bin")
    assert came == ["asked", "bin/", "rows", "script"]


def test_a_name_is_taken_by_one_that_wants_a_name_and_no_more_than_it_wants(tmp_path: Path) -> None:
    assert listed("hash ", tmp_path, "a", "b") == ["a", "b"]
    for line, expected in (("get a --force b -q ", ["a", "b"]), ("hash a b", ["b"]), ("send a ", []), ("status ", [])):
        assert replies(CLIENT, tmp_path, f"{CLIENT} {line}", path=tmp_path / "bin") == expected, line


@pytest.mark.parametrize(
    "before",
    [
        "set -euf; set -o posix",
        pytest.param("IFS=ist", marks=pytest.mark.slow),
        pytest.param("COMP_WORDBREAKS=' '", marks=pytest.mark.slow),
        pytest.param("shopt -s failglob nullglob", marks=pytest.mark.slow),
        "compopt() { not-there; }",
    ],
)
def test_bash_may_be_set_in_any_way_and_have_no_compopt(before: str, tmp_path: Path) -> None:
    assert [reply.rstrip() for reply in listed("get ", tmp_path, "its *", before=before)] == ["its\\ \\*"]
    came = replies(CLIENT, tmp_path, f"{CLIENT} --serv", before=before, path=tmp_path / "bin")
    assert [reply.rstrip() for reply in came] == ["--server"]


def test_bash_is_left_as_it_was(tmp_path: Path) -> None:
    own = "-e ^COMP -e ^BASH_ARG -e ^BASH_TRAP -e ^BASH_REMATCH -e PIPESTATUS -e ^_$"
    state = f"{{ compgen -v | grep -v {own}; echo $- $BASHOPTS; }}"
    before = f"{state} > before; trap '{state} > after' EXIT"
    listed("2> a --cafile=a get -", tmp_path, before=before)
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


def test_meanings_and_choices_are_inert_in_bash(tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, ODD, [])
    for line in ("odd-one --choose it", "odd-one do "):
        (quoted,) = replies(ODD, tmp_path, line, path=path)
        assert shlex.split(quoted) == [AWKWARD]
    assert not (tmp_path / "wrong").exists()


def answer(line: str, **environment: str) -> tuple[float, str]:
    """Return how many seconds the real client takes for a Tab at the end of `line`, and what it answers."""
    about = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    began = time.monotonic()
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" 8>&1 9>&2 1>/dev/null 2>&1', path_of(CLIENT)],
        capture_output=True, text=True, env={**os.environ, **about, **environment}, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert not done.stderr
    return time.monotonic() - began, done.stdout


@pytest.mark.slow
def test_a_server_that_is_silent_costs_two_seconds_and_one_that_is_not_there_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        seconds, said = answer(f"{CLIENT} -s {address} get ")
    assert (1.9 < seconds < 5, said) == (True, "")
    assert answer(f"{CLIENT} --timeout 60 --wait 60 -s {address} get ")[1] == ""
    assert answer(f"{CLIENT} -s unix:/nowhere --key x get ")[1] == ""
    assert answer(f"{CLIENT} -s ::: get ")[1] == ""


@pytest.mark.parametrize(
    "line",
    [
        f"{CLIENT} get \\",
        *(
            pytest.param(f"{CLIENT}{rest}", marks=pytest.mark.slow)
            for rest in ("", " '", " -", " --=", " \ue023 --x=y")
        ),
        pytest.param("", marks=pytest.mark.slow),
    ],
)
def test_a_tab_says_nothing_whatever_the_line_is(line: str) -> None:
    answer(line)


def test_a_tab_is_answered_in_any_locale_and_says_nothing_where_there_is_no_place() -> None:
    assert answer(f"{CLIENT} st", LC_ALL="C")[1].strip() == "status"
    assert answer(f"{CLIENT} st", COMP_POINT="x")[1] == ""


RUN = """
import os, sys
def tell(*_):
    with open("loaded", "w") as file:
        file.write(" ".join(sys.modules))
    end(0)
end, os._exit = os._exit, tell
os.dup2(1, 8)
from {module} import {main}
sys.argv[1:] = {arguments}
try:
    {main}()
finally:
    tell()
"""
SLOW = ("twisted", "OpenSSL", "prompt_toolkit", "wcwidth", "zope", "asyncio", "argcomplete")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["get", "--help"], ["--nonsense"]])
def test_the_client_loads_no_more_than_it_takes_to_say_what_it_is(arguments: list[str], tmp_path: Path) -> None:
    assert loaded(tmp_path, "chatfile.cli", "main", arguments).isdisjoint(SLOW)


def test_the_client_completes_and_shows_its_script_without_twisted(tmp_path: Path) -> None:
    assert loaded(tmp_path, "chatfile.cli", "main", ["--completion", "bash"]) & {*SLOW} == {"argcomplete"}
    line = f"{CLIENT} get --o"
    about = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    assert loaded(tmp_path, "chatfile.cli", "main", [], **about) & {*SLOW} == {"argcomplete"}


@pytest.mark.parametrize("option", ["--version", "--help", "--completion=zsh"])
def test_the_server_loads_no_reactor_to_say_what_it_is(option: str, tmp_path: Path) -> None:
    there = loaded(tmp_path, "chatfile.__main__", "server", [option])
    assert "twisted.python.usage" in there
    assert not [
        name for name in there if name.startswith(("twisted.internet", "twisted.application", "twisted.logger"))
    ]


def loaded(folder: Path, module: str, main: str, arguments: list[str], **environment: str) -> set[str]:
    """Return the names of all that is loaded when a program ends."""
    code = RUN.format(module=module, main=main, arguments=arguments)
    around = {**unmeasured(), **environment}
    subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=around, capture_output=True, timeout=PATIENCE, check=True
    )
    return {*(folder / "loaded").read_text().split()}
