"""`chatfile-client` in a terminal: the prompt, the keys, and a server that goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ServerProcess, client_command, wait_until
from tests.support.terminals import (
    CTRL_C,
    CTRL_D,
    CTRL_R,
    ENTER,
    PROMPT,
    TAB,
    UP,
    Terminal,
    at_the_prompt,
    wait_for_bytes,
)

SEVERAL_MB = 5_000_000
"""Bytes that are received in a thread."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("work") / "served"
    served.mkdir()
    (served / "a").write_bytes(b"content")
    (served / "two words.txt").write_bytes(b"content")
    (served / "\u202eliv\u202ce").touch()
    (served / "several MB").write_bytes(bytes(SEVERAL_MB))
    (served / "huge").touch()
    os.truncate(served / "huge", 20_000_000_000)
    return served


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, "--no-digest") as server:
        yield server


@pytest.fixture
def short_lived(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, "--no-digest") as server:
        yield server


def test_single_commands_and_pipes_start_without_what_the_prompt_needs() -> None:
    loaded = "import sys, chatfile.cli.run, chatfile.cli.piped; print({'prompt_toolkit', 'wcwidth'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", loaded]) == b"set()\n"


def test_a_conversation(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"hello{ENTER}")
        terminal.see(f"\nhello ACK\r\n{PROMPT}")
        terminal.type(f"get missing{ENTER}")
        terminal.see('no file "missing"')
        terminal.type(f"get two words.txt{ENTER}")
        terminal.see(r"client_downloads/two words\.txt: 7 B in ")
        terminal.type(f"exit{ENTER}")
        assert terminal.ended() == 0
    assert (tmp_path / "client_downloads" / "two words.txt").read_bytes() == b"content"


@pytest.mark.slow
def test_one_line_can_ask_for_several_files(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f'get a "two words.txt"{ENTER}')
        terminal.see(r"2 of 2 files, 14 B")
        terminal.type(f"hash ? two*{ENTER}")
        terminal.see(r"-  a\r\n-  two words.txt\r\n")
        terminal.type(f"get *.nope{ENTER}")
        terminal.see(r'matches "\*\.nope"')
        terminal.type(f"list two*{ENTER}")
        terminal.see(r"two words\.txt\r\n1 file, 7 B")
        terminal.type(f"list of things{ENTER}")
        terminal.see(r"list of things ACK")
        terminal.type(f"cd ..{ENTER}")
        terminal.see('the command is "lcd"')


@pytest.mark.slow
def test_list_and_status_are_answered_during_a_download(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(tmp_path / "client_downloads" / ".huge.part")
        terminal.type(f"list{ENTER}")
        terminal.see(r"5 files, 20\.0 GB")
        terminal.type(f"help{ENTER}")
        terminal.see("Anything else is a message")
        terminal.type(f"hello{ENTER}")
        terminal.see('"hello" waits until "get huge" is done')
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"y{ENTER}")
        terminal.see(r"Stopped\.[\s\S]*hello ACK")


@pytest.mark.slow
def test_where_no_seat_is_free_a_listing_waits_for_the_download(folder: Path, tmp_path: Path) -> None:
    with ServerProcess(folder, "--no-digest", "-n", "1") as server, at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(tmp_path / "client_downloads" / ".huge.part")
        terminal.type(f"status{ENTER}")
        terminal.see(r'full, so "status" waits for the download')
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"y{ENTER}")
        terminal.see(r"Stopped\.[\s\S]*Client02 \(you\)")


def test_the_prompt_does_what_other_clients_do(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "it's here").mkdir()
        terminal.type(f"lcd it's here{ENTER}lpwd{ENTER}")
        terminal.see(rf"{tmp_path}/it's here\r\n")
        terminal.type(f'lcd "../elsewhere"{ENTER}lpwd{ENTER}')
        terminal.see(r"/elsewhere\r\n")
        terminal.type(f"get a -o b{ENTER}")
        terminal.see(r"b: 7 B in ")
        terminal.type(f"get!a{ENTER}")
        terminal.see(r"elsewhere/a: 7 B in ")
        terminal.type(f"!echo said; exit 3{ENTER}")
        terminal.see(r"said\r\n[\s\S]*ended with 3")
        terminal.type(f"get 'a{ENTER}")
        terminal.see("not closed")
        terminal.type(f"send ls{ENTER}")
        terminal.see("ls ACK")
        terminal.type(f"ls{ENTER}")
        terminal.see(r"5 files, 20\.0 GB")
        terminal.type(f"quit{ENTER}")
        assert terminal.ended() == 0
    assert (tmp_path / "elsewhere" / "a").read_bytes() == (tmp_path / "elsewhere" / "b").read_bytes() == b"content"


@pytest.mark.slow
def test_what_is_typed_behind_exit_is_not_carried_out(short_lived: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(short_lived, tmp_path) as terminal:
        short_lived.process.send_signal(signal.SIGSTOP)
        terminal.type(f"hello{ENTER}exit{ENTER}too late{ENTER}")
        terminal.see("not carried out")
        short_lived.process.send_signal(signal.SIGCONT)
        assert terminal.ended() == 0
        assert "too late ACK" not in terminal.raw


def test_names_can_not_play_with_the_terminal(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"list{ENTER}")
        assert r"\u202eliv\u202ce" in terminal.see(r"5 files, 20\.0 GB")
        terminal.type(f"get {TAB}")
        terminal.see("huge")
        assert "\u202e" not in terminal.raw


@pytest.mark.slow
def test_what_was_typed_is_there_in_the_next_run(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"hello again{ENTER}")
        terminal.see("again ACK")
        terminal.type(CTRL_D)
        assert terminal.ended() == 0
    assert (tmp_path / "state" / "chatfile" / "history").stat().st_mode & 0o777 == 0o600
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(UP)
        terminal.see("hello again")
        terminal.type(ENTER)
        terminal.see("hello again ACK")


@pytest.mark.slow
def test_a_prompt_needs_no_history(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path, XDG_STATE_HOME="/dev/null") as terminal:
        terminal.type(f"hello{ENTER}")
        terminal.see("hello ACK")


def test_a_dumb_terminal_gets_no_escape_sequences(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path, TERM="dumb") as terminal:
        terminal.type(f"get a{ENTER}")
        terminal.see(rf"client_downloads/a: 7 B .*\s+{PROMPT}")
        terminal.type(f"exit{ENTER}")
        assert terminal.ended() == 0
        assert "\x1b" not in terminal.raw


def test_on_a_dumb_terminal_the_system_edits_the_line(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path, TERM="dumb") as terminal:
        terminal.type(f"dropped{CTRL_C}")
        terminal.see(rf"\^C\s+{PROMPT}")
        terminal.type(f"hallo\x7f\x7f\x7f\x7fello{ENTER}")
        assert "dropped" not in terminal.see("\nhello ACK")


@pytest.mark.slow
def test_on_a_dumb_terminal_what_was_typed_before_a_question_is_no_answer(
    server: ServerProcess, tmp_path: Path
) -> None:
    with at_the_prompt(server, tmp_path, TERM="dumb") as terminal:
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(tmp_path / "client_downloads" / ".huge.part")
        terminal.type(f"yes{ENTER}")
        terminal.see("yes\r\n")
        wait_until(terminal.is_heard)
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"no{ENTER}")
        terminal.see("no\r\n")
        wait_until(terminal.is_heard)
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"y{ENTER}")
        terminal.see(r"Stopped\.[\s\S]*yes ACK")
        terminal.type(CTRL_D)
        assert terminal.ended() == 0


@pytest.mark.slow
def test_ctrl_c_at_the_prompt_drops_the_line(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"half a li{CTRL_C}")
        terminal.see(rf"half a li\^C\s+{PROMPT}")
        terminal.type(f"hello{ENTER}")
        terminal.see(r"\nhello ACK\r\n")


@pytest.mark.slow
def test_a_question_about_a_download_that_ends_is_withdrawn(short_lived: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(short_lived, tmp_path) as terminal:
        short_lived.process.send_signal(signal.SIGSTOP)
        terminal.type(f"get several MB{ENTER}{CTRL_C}")
        terminal.see(r"\(y/N\)")
        short_lived.process.send_signal(signal.SIGCONT)
        terminal.see(rf"several MB: 5\.0 MB in [\s\S]*{PROMPT}")
        terminal.type(f"hello{ENTER}")
        terminal.see("hello ACK")


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["\x1b[31m", f"hello{ENTER}\x1b[31mred", "\x1b[<0;1;1M"])
def test_what_looks_like_a_mouse_changes_nothing(server: ServerProcess, tmp_path: Path, typed: str) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"{typed}{CTRL_C}hello again{ENTER}")
        assert "Traceback" not in terminal.see("hello again ACK")


@pytest.mark.slow
def test_what_was_found_by_ctrl_r_is_carried_out(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"first words{ENTER}")
        terminal.see("first words ACK")
        terminal.type(f"second{ENTER}")
        terminal.see("second ACK")
        terminal.type(f"{CTRL_R}wor")
        terminal.see("first words")
        terminal.type(ENTER)
        terminal.see("first words ACK")


@pytest.mark.slow
def test_a_low_window_is_enough(server: ServerProcess, tmp_path: Path) -> None:
    with Terminal(*client_command("-s", f"127.0.0.1:{server.port}"), folder=tmp_path, rows=6) as terminal:
        terminal.see(PROMPT)
        terminal.type(f"list{ENTER}")
        terminal.see(rf"5 files[\s\S]*{PROMPT}")
        terminal.type(f"get {TAB}")
        terminal.see("7 B")
        assert "too small" not in terminal.raw


@pytest.mark.slow
def test_the_rest_of_a_file_that_found_no_space_is_not_waited_for(server: ServerProcess, tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -f 64; exec "$@"', "sh")
    with Terminal(*limited, *client_command("-s", f"127.0.0.1:{server.port}"), folder=tmp_path) as terminal:
        name = terminal.see(PROMPT).split()[-2]
        terminal.type(f"get huge{ENTER}")
        terminal.see("can't be written")
        terminal.type(f"hello{ENTER}")
        terminal.see("hello ACK")
        assert terminal.see(PROMPT).split()[-2] != name


@pytest.mark.slow
def test_what_is_pasted_is_carried_out_line_by_line(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"\x1b[200~one\ntwo\nstatus\x1b[201~{ENTER}")
        terminal.see(r"one ACK\r\ntwo ACK\r\nNAME [\s\S]*\(you\)")


def test_ctrl_c_during_a_download_asks_and_then_stops_it(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(tmp_path / "client_downloads" / ".huge.part")
        terminal.see(rf"{PROMPT}\s*huge  ")
        terminal.type(f"hello{ENTER}")
        terminal.see('"hello" waits until "get huge" is done')
        terminal.type(CTRL_C)
        terminal.see(r'Stop the download of "huge"\? .*\(y/N\)')
        terminal.type(f"n{ENTER}")
        terminal.see(PROMPT)
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"y{ENTER}")
        terminal.see("Stopped")
        terminal.see("hello ACK")
    assert sorted(os.listdir(tmp_path / "client_downloads")) == [".huge.note", ".huge.part"]


@pytest.mark.parametrize(
    ("answer", "is_stopped"),
    [
        ("yes", True),
        pytest.param("NO", False, marks=pytest.mark.slow),
        pytest.param("what?", None, marks=pytest.mark.slow),
    ],
)
def test_questions_are_answered_in_words_too(
    server: ServerProcess, tmp_path: Path, answer: str, is_stopped: bool | None
) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(tmp_path / "client_downloads" / ".huge.part")
        terminal.type(CTRL_C)
        terminal.see(r"\(y/N\)")
        terminal.type(f"{answer}{ENTER}")
        terminal.see({True: "Stopped", False: PROMPT, None: r"\(y/N\)"}[is_stopped])
        assert "ACK" not in terminal.raw


@pytest.mark.slow
def test_a_question_is_withdrawn_where_the_answer_does_not_matter_any_more(
    short_lived: ServerProcess, tmp_path: Path
) -> None:
    with at_the_prompt(short_lived, tmp_path) as terminal:
        short_lived.process.send_signal(signal.SIGSTOP)
        terminal.type(f"get several MB{ENTER}exit{ENTER}{CTRL_D}")
        terminal.see(r"\(y/N\)")
        short_lived.process.send_signal(signal.SIGCONT)
        assert (terminal.ended(), terminal.raw.count("Bye.")) == (0, 1)
    assert (tmp_path / "client_downloads" / "several MB").stat().st_size == SEVERAL_MB


@pytest.mark.slow
def test_ctrl_d_during_a_download_asks(server: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(server, tmp_path) as terminal:
        terminal.type(f"get huge{ENTER}")
        terminal.see(rf"{PROMPT}\s*huge  ")
        terminal.type(CTRL_D)
        terminal.see(r'Leave, and stop the download of "huge"\? .*\(y/N\)')
        terminal.type(ENTER)
        terminal.see(PROMPT)
        terminal.type(CTRL_D)
        terminal.see(r"\(y/N\)")
        terminal.type(f"y{ENTER}")
        assert terminal.ended() == 0


@pytest.mark.slow
def test_a_server_that_goes_while_it_is_asked_whether_to_leave_says_why(
    short_lived: ServerProcess, tmp_path: Path
) -> None:
    with at_the_prompt(short_lived, tmp_path) as terminal:
        short_lived.process.send_signal(signal.SIGSTOP)
        terminal.type(f"hello{ENTER}{CTRL_D}")
        terminal.see(r'Leave, and stop "hello"\? \(y/N\)')
        short_lived.process.kill()
        terminal.see(r"The connection to the server was lost[\s\S]*Connect again\? \(Y/n\)")
        terminal.type(f"n{ENTER}")
        assert terminal.ended() == 6


def test_a_server_that_goes_says_why(short_lived: ServerProcess, tmp_path: Path) -> None:
    with at_the_prompt(short_lived, tmp_path) as terminal:
        short_lived.process.send_signal(signal.SIGTERM)
        terminal.see(r"The server is going down[\s\S]*Connect again\? \(Y/n\)")
        terminal.type(f"n{ENTER}")
        assert terminal.ended() == 6


@pytest.mark.slow
def test_a_download_goes_on_at_the_server_that_comes_back(
    short_lived: ServerProcess, folder: Path, tmp_path: Path
) -> None:
    part = tmp_path / "client_downloads" / ".huge.part"
    with at_the_prompt(short_lived, tmp_path) as terminal:
        terminal.type(f"get huge{ENTER}")
        wait_for_bytes(part)
        short_lived.process.kill()
        terminal.see(r'"get huge" waits for the next connection\.\s+Connect again\? \(Y/n\)')
        came = part.stat().st_size
        with ServerProcess(folder, "--no-digest", port=f"tcp:{short_lived.port}:interface=127.0.0.1"):
            terminal.type(ENTER)
            terminal.see("Connected")
            terminal.see("huge  ")
            assert part.stat().st_size >= came
            terminal.process.kill()
            terminal.process.wait()
