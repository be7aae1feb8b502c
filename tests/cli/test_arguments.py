"""What can be typed behind `chatfile-client`, and what is refused before anything is asked."""

from __future__ import annotations

import pytest

from chatfile import program_and_version
from chatfile.cli.arguments import ClientConfig, parse_arguments
from chatfile.cli.commands import GetFiles, ListFiles, SendMessage, ShowStatus
from chatfile.cli.values import client_endpoint_description


@pytest.mark.parametrize(
    ("address", "description"),
    [
        ("localhost", "tcp:host=localhost:port=5000"),
        ("127.0.0.1:6000", "tcp:host=127.0.0.1:port=6000"),
        ("[::1]", r"tcp:host=\:\:1:port=5000"),
        ("[::1]:6000", r"tcp:host=\:\:1:port=6000"),
        ("::1", r"tcp:host=\:\:1:port=5000"),
        ("unix:/run/chatfile", "unix:/run/chatfile"),
        ("tls:host:5000", "tls:host:5000"),
    ],
)
def test_an_address_stands_for_an_endpoint(address: str, description: str) -> None:
    assert client_endpoint_description(address) == description


@pytest.mark.parametrize(
    "typed",
    [
        "nonsense",
        "status more",
        "send status",
        "send GET x",
        "get",
        "get ../x",
        "get a//b",
        "--limit-rate 1K list",
        "--limit-rate fast list",
        "get ..",
        "get a b -o c",
        "hash /etc/passwd",
        "--timeout x list",
        "--timeout -1 list",
        "--wait inf list",
        "-s host:port list",
        "-s host:0 list",
        "-s host:65536 list",
        "-s ssl:host:5000 list",
        "-s [::1 list",
        "--lis",
        "-d= list",
        "watch --interval 0.05",
        "get a -o=",
        "--cafile= list",
        "--cert= list",
        "--key= list",
        "-s tls:h:1:trustRoots= list",
    ],
)
def test_what_makes_no_sense_is_usage(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed.split())
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert (said.out, "error: " in said.err) == ("", True)


@pytest.mark.parametrize("name", ["a\nexit", "a\x1b", "", "x" * 5000])
def test_a_name_that_no_line_can_hold_is_usage(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["get", name])
    assert ended.value.code == 2


def test_options_may_stand_before_the_command_or_behind_it() -> None:
    before = parse_arguments(["-q", "--server", "a:1", "--timeout=5", "get", "x", "y"])
    behind = parse_arguments(["get", "x", "y", "--timeout=5", "-q", "--server", "a:1"])
    assert before == behind
    assert before == ClientConfig(server="a:1", timeout=5.0, is_quiet=True, command=GetFiles(("x", "y")))


def test_several_words_are_one_message() -> None:
    assert parse_arguments(["send", "hello", "there"]).command == SendMessage("hello there")


def test_the_version_is_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--version"])
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err) == (0, f"{program_and_version()}\n", "")


@pytest.mark.parametrize(
    "typed",
    [
        "get --force -q -o x a",
        "get a --force -q -o x",
        "--force -o x -q get a",
        "-qo x get a --force",
        "-ox -q get --force a",
        "--output=x get -q -- a",
        "get a -q --output x --force",
    ],
)
def test_options_stand_anywhere(typed: str) -> None:
    parsed = parse_arguments(typed.split())
    assert (parsed.command, parsed.is_quiet) == (GetFiles(("a",), "x", force="--force" in typed), True)


def test_names_keep_their_order_and_their_dashes() -> None:
    parsed = parse_arguments(["get", "b", "-q", "a", "--", "-c", "--force", "--"])
    assert parsed.command == GetFiles(("b", "a", "-c", "--force", "--"))


@pytest.mark.parametrize("typed", ["send a -x b", "get -rf", "get a --no-such", "--no-such get a", "get a -s", "-o"])
def test_an_option_that_nobody_knows_is_no_name(typed: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed.split())
    assert ended.value.code == 2


@pytest.mark.parametrize("typed", ["send list", "get a b -o c", "watch --interval 0.05"])
def test_a_complaint_shows_how_that_command_is_used(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(typed.split())
    assert f"chatfile-client {typed.split(maxsplit=1)[0]}" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["status extra", "extra -q list", "-q status extra", "help -q extra"])
def test_a_complaint_quotes_nothing_that_was_not_typed(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(typed.split())
    said = capsys.readouterr().err
    assert ("extra" in said, " -- " in said) == (True, False)


def test_what_is_sent_may_have_dashes() -> None:
    assert parse_arguments(["send", "a", "--", "-b", "c"]).command == SendMessage("a -b c")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--limit-speed 1M get x", "there is no option --limit-speed;"),
        ("--limit-speed=1M get x", "there is no option --limit-speed;"),
        ("list --all", "list has no option --all"),
        ("status --sort name", "status has no option --sort"),
        ("localhost:5000", "-s localhost:5000"),
        ("localhost list", "-s localhost"),
        ("tls:localhost list", "-s tls:localhost"),
        ("lst", 'did you mean "list"'),
        ("ls", 'did you mean "list"'),
        ("put x", "choose from send, status"),
        ("-s 127.0.0.1:99999 list", "there is no port 99999"),
        ("get a b -o c", "-o names one file, but 2 were asked for"),
        ("--completion tcsh", "choose bash, zsh or fish"),
    ],
)
def test_a_complaint_says_what_is_wrong_and_what_may_have_been_meant(
    typed: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed.split())
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)


# --- the environment ---

AT_HOME = {
    "CHATFILE_SERVER": "tls:there:6000",
    "CHATFILE_DOWNLOADS": "here",
    "CHATFILE_CAFILE": "ca.pem",
    "CHATFILE_CERT": "own.pem",
    "CHATFILE_KEY": "own.key",
}


def test_the_environment_stands_for_options() -> None:
    assert parse_arguments(["list"], AT_HOME) == ClientConfig(
        server="tls:there:6000", downloads="here", cafile="ca.pem", cert="own.pem", key="own.key", command=ListFiles()
    )


def test_what_is_typed_counts_and_takes_nothing_else_with_it() -> None:
    config = parse_arguments(["-s", "tls:a:1", "-d", "d", "--cafile", "x", "--cert", "y", "list"], AT_HOME)
    assert (config.server, config.downloads, config.cafile, config.cert, config.key) == ("tls:a:1", "d", "x", "y", None)


def test_certificates_of_the_environment_are_for_servers_that_speak_tls() -> None:
    config = parse_arguments(["-s", "a:1", "list"], AT_HOME)
    assert (config.cafile, config.cert, config.key) == (None, None, None)


def test_what_is_shown_and_in_which_order_can_be_chosen() -> None:
    assert parse_arguments(["list", "--sort", "size", "a"]).command == ListFiles(("a",), sort="size")
    assert parse_arguments(["status", "--all"]).command == ShowStatus(everyone=True)


def test_an_empty_variable_is_none() -> None:
    assert parse_arguments(["list"], dict.fromkeys(AT_HOME, "")) == ClientConfig(command=ListFiles())


@pytest.mark.parametrize("environment", [{}, {"CHATFILE_SERVER": "a:1"}])
def test_certificates_that_would_go_unheeded_are_complained_of(environment: dict[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["--cafile", "x", "list"], environment)
    assert ended.value.code == 2


def test_typed_certificates_are_for_the_server_of_the_environment() -> None:
    config = parse_arguments(["--cafile", "x", "list"], {"CHATFILE_SERVER": "tls:a:1"})
    assert (config.server, config.cafile) == ("tls:a:1", "x")


def test_a_variable_that_makes_no_sense_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["list"], {"CHATFILE_SERVER": "host:port"})
    assert ended.value.code == 2
    assert "CHATFILE_SERVER" in capsys.readouterr().err
