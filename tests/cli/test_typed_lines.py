"""What a line at the prompt stands for, what Tab makes of it, and what is kept of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from chatfile import errors, wire
from chatfile.cli.commands import (
    ChangeFolder,
    Command,
    GetFiles,
    HashFiles,
    LeaveServer,
    ListFiles,
    PromptCommand,
    RunShell,
    SendMessage,
    ShowFolder,
    ShowPromptHelp,
    ShowRaw,
    ShowServerHelp,
    ShowStatus,
    Wanted,
)
from chatfile.cli.lines import mistaken, parse_at_prompt, parse_line, split_options
from chatfile.cli.patterns import select
from chatfile.cli.prompt.completion import MOST, Completions
from chatfile.cli.prompt.history import KEPT, KeptHistory, history_path, kept_history


def listing(*names: str) -> list[wire.FileRow]:
    return [wire.FileRow(1_200_000, 0, name) for name in names]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("hello", SendMessage("hello")),
        (" hello ", SendMessage(" hello ")),
        ("", SendMessage("")),
        ("list", ListFiles()),
        (" list ", ListFiles()),
        ("ls", ListFiles()),
        ("LS -la", ListFiles()),
        ("dir *.csv", ListFiles("*.csv", "dir *.csv")),
        ("list *.csv", ListFiles("*.csv", "list *.csv")),
        ("list of things", ListFiles("of things", "list of things")),
        ("list --sort size", ListFiles(sort="size")),
        ("ls --sort=time *.csv", ListFiles("*.csv", "ls --sort=time *.csv", "time")),
        ("list *.csv --sort name", ListFiles("*.csv", "list *.csv --sort name", "name")),
        ("list --sort colour", ListFiles("--sort colour", "list --sort colour")),
        ("status --all", ShowStatus(everyone=True)),
        ("status of things", SendMessage("status of things")),
        ("get a b", GetFiles("a b")),
        ("  get  a ", GetFiles(" a ")),
        ("get list", GetFiles("list")),
        ("GET! a b", GetFiles("a b", force=True)),
        ("get!a b", GetFiles("a b", force=True)),
        ("get!A", GetFiles("A", force=True)),
        ("resume 5 a", GetFiles("a")),
        ("resume a", GetFiles("a")),
        ("hash a", HashFiles("a")),
        ("status", ShowStatus()),
        ("status please", SendMessage("status please")),
        ("exit", LeaveServer()),
        ("quit", LeaveServer()),
        ("bye", LeaveServer()),
        ("q", LeaveServer()),
        ("quit it", SendMessage("quit it")),
        ("send ls", SendMessage("ls")),
        ("send", SendMessage("send")),
        ("?", ShowServerHelp()),
        ("?!", SendMessage("?!")),
    ],
)
def test_a_line_stands_for_a_command(line: str, command: Command) -> None:
    assert parse_line(line) == command
    assert parse_at_prompt(line) == (ShowPromptHelp() if command == ShowServerHelp() else command)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("!list", ShowRaw(ListFiles())),
        ("!Status", ShowRaw(ShowStatus())),
        (" !list ", ShowRaw(ListFiles())),
        ("!help", ShowRaw(ShowServerHelp())),
        ("!ls -l", RunShell("ls -l")),
        ("!hello", RunShell("hello")),
        ("lcd ~/x y", ChangeFolder("~/x y")),
        ("lpwd", ShowFolder()),
    ],
)
def test_some_lines_are_for_the_prompt_alone(line: str, command: PromptCommand) -> None:
    assert parse_at_prompt(line) == command
    assert parse_line(line) == SendMessage(line), "nothing that is piped in is carried out by a shell"


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("a", ("a", None, False)),
        ("a -o b", ("a", "b", False)),
        ("-o b a", ("a", "b", False)),
        ("--force a b", ("a b", None, True)),
        ("a b --force", ("a b", None, True)),
        ("a --output='x y' --force", ("a", "x y", True)),
        ('a -o "x y"', ("a", "x y", False)),
        ("a -o -", ("a", "-", False)),
        ("a-o b", ("a-o b", None, False)),
        ("a --forced", ("a --forced", None, False)),
    ],
)
def test_options_stand_before_names_or_behind_them(typed: str, left: tuple[str, str | None, bool]) -> None:
    assert split_options(GetFiles(typed)) == GetFiles(*left)


@pytest.mark.parametrize("typed", ['"a', "it's", 'say "', 'two "quotes', "a -o 'b"])
def test_a_quotation_mark_that_is_not_closed_is_told(typed: str) -> None:
    with pytest.raises(errors.UnclosedQuote):
        select(split_options(GetFiles(typed)).wanted, listing("a", "b"))


@pytest.mark.parametrize("line", ["get", "get!", "get! ", "hash", "a\x1bb", "a" * 5000, "\udc80"])
def test_what_can_not_be_sent_is_refused_here(line: str) -> None:
    with pytest.raises(errors.ChatFileError):
        parse_at_prompt(line)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("[b]*", ["[b]*"]),
        ("[b-c]*", ["b.csv"]),
        ("a.csv", ["a.csv"]),
        ("nothing", ["nothing"]),
    ],
)
def test_a_pattern_stands_for_files_unless_one_has_that_very_name(pattern: str, names: list[str]) -> None:
    assert [row.name for row in select(pattern, listing("[b]*", "a.csv", "b.csv"))] == names


@pytest.mark.parametrize("wanted", ["data-*", ("data-*",), ("data-*", "data-2")])
def test_what_matches_a_pattern_comes_in_the_order_of_people(wanted: Wanted) -> None:
    found = select(wanted, listing("data-1", "data-10", "data-2"))
    assert [row.name for row in found] == ["data-1", "data-2", "data-10"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("a b", ["a b"]),
        ("b a", ["b", "a"]),
        ('"a b" b', ["a b", "b"]),
        (r"a\ b", ["a b"]),
        ("'a b'", ["a b"]),
        (" a ", ["a"]),
        ("b? b", ["b2", "b"]),
        ("? a*", ["a", "b", "a b"]),
        ("a nothing", ["a", "nothing"]),
        ("b a b a", ["b", "a b", "a"]),
        ("a b b a b", ["a b", "b"]),
        (r"a b b2 a\ b it\"s", ["a b", "b2", 'it"s']),
        ("no such", ["no such"]),
        ("'no such'", ["no such"]),
        ('it"s', ['it"s']),
    ],
)
def test_several_words_stand_for_several_files_unless_one_has_that_very_name(wanted: str, names: list[str]) -> None:
    assert [row.name for row in select(wanted, listing("a", "a b", "b", "b2", 'it"s'))] == names


@pytest.mark.parametrize("name", ["it's", "two  spaces", "no-break\N{NO-BREAK SPACE}space", r"back\slash", "[x]"])
def test_a_name_stands_for_its_file_beside_others_as_tab_writes_it(name: str) -> None:
    rows = listing("a", name, "don't")
    for first, second in ((name, "a"), ("a", name), (name, "don't")):
        assert [row.name for row in select(f"{first} {second}", rows)] == [first, second]


@pytest.mark.parametrize("pattern", ["*.CSV", "*.x *.y"])
def test_a_pattern_that_matches_nothing_is_told(pattern: str) -> None:
    with pytest.raises(errors.NoMatch):
        select(pattern, listing("a.csv"))


@pytest.mark.parametrize(
    "text", ["!list *.csv", "gte x", "stat", "exit now", "cd ..", "put x", "mget *.csv", "who", "logout", "pwd"]
)
def test_a_mistaken_command_is_told(text: str) -> None:
    assert mistaken(text)


@pytest.mark.parametrize("text", ["", " ", "hello", "hell", "got it", "lots of things", "send him a line", "!", "!!!"])
def test_talk_is_no_mistake(text: str) -> None:
    assert mistaken(text) is None


@pytest.mark.parametrize("text", ["put x", "exit now"])
def test_a_line_that_goes_as_a_message_has_its_hint_in_every_mode_unless_it_was_meant_so(text: str) -> None:
    for read in (parse_line, parse_at_prompt):
        said, meant = read(text), read(f"send {text}")
        assert said == meant == SendMessage(text)
        assert isinstance(said, SendMessage)
        assert isinstance(meant, SendMessage)
        assert said.hint == mistaken(text)
        assert meant.hint is None


@pytest.mark.parametrize("line", ["lcd /tmp", "lpwd", "!list", "!status"])
def test_what_only_the_prompt_has_is_told_elsewhere(line: str) -> None:
    command = parse_line(line)
    assert isinstance(command, SendMessage)
    assert "at the prompt" in (command.hint or "")


def test_an_endless_name_pushes_no_size_out_of_the_menu() -> None:
    completions = Completions(lambda: listing("n" * 200), lambda: "", lambda: None, lambda _: None)
    (completion,) = completions.get_completions(Document("get n"), CompleteEvent())
    assert (len(completion.display_text), completion.text) == (48, "n" * 200)


# --- Tab ---


def completed(line: str, *names: str) -> list[tuple[str, str]]:
    """What the line becomes with each completion, and what stands beside it."""
    completions = Completions(lambda: listing(*names), lambda: "", lambda: None, lambda _: None)
    found = completions.get_completions(Document(line), CompleteEvent())
    return [(line[: len(line) + c.start_position] + c.text, c.display_meta_text.strip()) for c in found]


def test_tab_completes_commands_and_says_what_they_do() -> None:
    assert completed("st") == [("status", "who is connected, and the latest who left")]
    assert [line for line, _ in completed("GE")] == ["get ", "get! "]
    assert [line for line, _ in completed("")][:3] == ["list", "status", "get "], "the most used come first"


def test_tab_completes_names_with_their_sizes() -> None:
    assert completed("get a", "a b.txt", "b", "a.csv") == [("get a b.txt", "1.2 MB"), ("get a.csv", "1.2 MB")]
    assert completed("hash a b", "a b.txt", "ab") == [("hash a b.txt", "1.2 MB")]


def test_the_sizes_in_the_menu_stand_under_each_other() -> None:
    files = [wire.FileRow(size, 0, "name") for size in (7, 99_900)]
    found = Completions(lambda: files, lambda: "", lambda: None, lambda _: None).get_completions(
        Document("get "), CompleteEvent()
    )
    assert [completion.display_meta_text for completion in found] == ["    7 B", "99.9 kB"]


def test_tab_finds_what_is_in_the_middle_of_a_name() -> None:
    assert [line for line, _ in completed("get REPORT", "my report.txt", "b")] == ["get my report.txt"]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("get x y", ["get x yes"]),
        ("get a b.txt y", ["get a b.txt yes"]),
        ("get x a", [r"get x a\ b.txt"]),
        ('get "a b', [r"get a\ b.txt"]),
        ("get x 'a b", [r"get x a\ b.txt"]),
        (r"get x a\ b", [r"get x a\ b.txt"]),
        ("get x \"it'", [r"get x it\'s"]),
        ("hash *.csv YE", ["hash *.csv yes"]),
    ],
)
def test_tab_completes_each_of_several_names(line: str, lines: list[str]) -> None:
    assert [line for line, _ in completed(line, "a b.txt", "it's", "yes")] == lines


def test_what_tab_puts_into_the_line_stands_for_that_file() -> None:
    names = ["a b.txt", "it's", 'say "x"', "back\\slash", " c ", "d*"]
    for name in names:
        ((line, _),) = completed(f"get zz {name[0]}", name)
        assert [row.name for row in select(line.removeprefix("get "), listing("zz", *names))] == ["zz", name]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("get --f", ["get --force"]),
        ("get a -", ["get a --force", "get a -o ", "get a --checksum", "get a --sha256 ", "get a --sums "]),
        ("get! -o", ["get! -o "]),
        ("list --", ["list --sort name", "list --sort size", "list --sort time"]),
        ("ls --so", ["ls --sort name", "ls --sort size", "ls --sort time"]),
        ("status -", ["status --all"]),
        ("hash -", ["hash -x"]),
        ("get -x", ["get -x"]),
        ("hello --f", []),
    ],
)
def test_tab_completes_the_options_of_a_command(line: str, lines: list[str]) -> None:
    assert [line for line, _ in completed(line, "-x")] == lines


@pytest.mark.parametrize("folder", ["", "."])
def test_tab_completes_local_folders_to_go_to(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("down loads", "documents"):
        (tmp_path / name).mkdir()
    (tmp_path / "done").touch()
    completions = Completions(list, lambda: folder, lambda: None, lambda _: None)
    found = completions.get_completions(Document("lcd do"), CompleteEvent())
    assert sorted("lcd do" + completion.text for completion in found) == ["lcd documents", "lcd down loads"]


def test_tab_leaves_messages_alone() -> None:
    assert completed("hello a", "a") == []


def test_tab_does_not_put_into_the_line_what_would_steer_the_terminal() -> None:
    assert completed("get ", "a\x1b[2J", "\u202ea", "ok") == [("get ok", "1.2 MB")]


def test_tab_offers_no_more_than_can_be_read() -> None:
    assert len(completed("get ", *map(str, range(2 * MOST)))) == MOST


def test_tab_adds_nothing_that_not_all_names_have() -> None:
    names = [f"file-{number:05}" for number in range(10 * MOST)]
    lines = [line for line, _ in completed("get ", *names)]
    assert (lines[0], lines[-1]) == (f"get {names[0]}", f"get {names[-1]}")


# --- history ---


def test_the_history_is_the_latest_lines_of_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "history"
    for line in ("first", "second\nthird", "日本\udc80"):
        KeptHistory(path).store_string(line)
    assert list(KeptHistory(path).load_history_strings()) == ["日本\udc80", "third", "second", "first"]


def test_the_history_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "history"
    KeptHistory(path).store_string("secret")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_the_history_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f"{number}\n" for number in range(3 * KEPT)))
    assert next(iter(KeptHistory(path).load_history_strings())) == str(3 * KEPT - 1)
    assert len(path.read_text().splitlines()) == KEPT
    assert os.listdir(tmp_path) == ["history"]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("obstacle", ["/dev/null/history", "/proc/history"])
def test_where_there_can_be_no_history_there_is_none(obstacle: str) -> None:
    history = KeptHistory(Path(obstacle))
    history.store_string("line")
    assert list(history.load_history_strings()) == []


def test_a_history_behind_a_link_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("")
    (tmp_path / "history").symlink_to(tmp_path / "target")
    KeptHistory(tmp_path / "history").store_string("line")
    assert (tmp_path / "target").read_text() == ""


@pytest.mark.parametrize(("state", "base"), [("/s", "/s"), ("", "/h/.local/state"), ("relative", "/h/.local/state")])
def test_the_history_has_its_place_in_the_home(monkeypatch: pytest.MonkeyPatch, state: str, base: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/h")
    assert history_path() == Path(base, "chatfile", "history")


def test_a_user_without_a_home_has_a_history_for_this_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    monkeypatch.chdir(tmp_path)
    history = kept_history()
    history.append_string("line")
    assert (history.get_strings(), list(tmp_path.iterdir())) == (["line"], [])


PATHS = ("a.txt", "docs/1.txt", "docs/2 b.txt", "docs/deep/x", "docs/deep/y", "other/z")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("get ", ["a.txt", "docs/", "other/"]),
        ("get d", ["docs/"]),
        ("get docs/", ["docs/1.txt", "docs/2 b.txt", "docs/deep/"]),
        ("get docs/deep/", ["docs/deep/x", "docs/deep/y"]),
        ("get a.txt o", ["other/"]),
        ("hash docs/d", ["docs/deep/"]),
        ("tree ", ["docs/", "other/"]),
        ("mirror docs/", ["docs/deep/"]),
        ("mirror a", []),
    ],
)
def test_tab_goes_through_folders_a_level_at_a_time(typed: str, found: list[str]) -> None:
    completions = Completions(lambda: listing(*PATHS), lambda: "", lambda: None, lambda _: None)
    offered = completions.get_completions(Document(typed), CompleteEvent())
    assert [each.text.replace("\\ ", " ") for each in offered] == found
