"""Shell completion in the shells themselves: what is typed, Tab, and what the program is given."""

from __future__ import annotations

import json
import os
import re
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from chatfile.completion import script
from tests.support.completing import (
    AWKWARD,
    CLIENT,
    ODD,
    SERVER,
    Typing,
    every_shell,
    needs_shell,
    put_stand_in,
    typed_in_each,
)
from tests.support.processes import PATIENCE, ServerProcess
from tests.support.started import program as path_of
from tests.support.terminals import ENTER, TAB

NAMES = {
    "tw": "two words.txt",
    "it": 'it\'s "q".txt',
    "do": "dollar $HOME `x` \\ back.txt",
    "gl": "glob *?[a]{b,c}.txt",
    "При": "Привет мир.bin",
    "🎉": "🎉 party.txt",
    "colon:a=": "colon:a=b@c.txt",
    "bang": "bang!x.txt",
    "se": "semi;&|<>()",
    "tr": "trail ",
    "per": "percent%d^caret",
    "'~": "~tilde",
    "'#": "#hash",
    "' ": "  lead",
    "'tw": "two words.txt",
    '"tw': "two words.txt",
    '"it': 'it\'s "q".txt',
    "'it": 'it\'s "q".txt',
    '"do': "dollar $HOME `x` \\ back.txt",
    "-- -d": "-dash.txt",
}


@typed_in_each
@pytest.mark.parametrize("count", [5, pytest.param(len(NAMES), marks=pytest.mark.slow)])
def test_the_name_on_the_line_is_the_name_of_the_file(shell: str, count: int, tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, CLIENT, [*NAMES.values()])
    with Typing(shell, script(CLIENT, shell), tmp_path, path) as typing:
        for typed, name in islice(NAMES.items(), count):
            assert typing.run(f"chatfile-client get {typed}{TAB}")[-1] == name, typed


@typed_in_each
@pytest.mark.parametrize("typed", ["-s 'a b'", '--server="a b"'])
def test_the_server_of_the_line_is_asked_and_only_real_names_are_offered(
    shell: str, typed: str, tmp_path: Path
) -> None:
    path = put_stand_in(tmp_path, CLIENT, ["-dash", "shown\u202eescaped", "one\xad", "plain"])
    with Typing(shell, script(CLIENT, shell), tmp_path, path) as typing:
        assert typing.run(f"chatfile-client {typed} get {TAB}")[-2:] == ["get", "plain"]
        assert "noise" not in typing.terminal.raw
    assert json.loads((tmp_path / "asked").read_text()) == {"server": "a b"}


@typed_in_each
def test_files_folders_and_options_are_completed(shell: str, tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, CLIENT, ["far"])
    (tmp_path / "key.pem").touch()
    (tmp_path / "my folder").mkdir()
    (tmp_path / "my file").touch()
    with Typing(shell, script(CLIENT, shell), tmp_path, path, before="set -u" if shell == "bash" else "true") as typing:
        typed = f"chatfile-client --ca{TAB} ke{TAB} -d my{TAB} get --cert=ke{TAB} fa{TAB} --fo{TAB}"
        came = [word.removesuffix("/") for word in typing.run(typed)]
        assert came == ["--cafile", "key.pem", "-d", "my folder", "get", "--cert=key.pem", "far", "--force"]
        assert typing.run(f"chatfile-client --compl{TAB} zs{TAB}")[-1].endswith("zsh")
        assert typing.run(f"chatfile-client wat{TAB}") == ["watch"]
        assert typing.run(f"chatfile-client get my{TAB}x") == ["get", "myx"]


@typed_in_each
def test_meanings_and_choices_are_inert(shell: str, tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, ODD, [])
    with Typing(shell, script(ODD, shell), tmp_path, path) as typing:
        assert typing.run(f"odd-one -c it{TAB}") == ["-c", AWKWARD]
        assert typing.run(f"odd-one do it{TAB}") == ["do", AWKWARD]
        assert typing.run(f"odd-one -c x{TAB}") == ["-c", "x:y\\:z"]
        typing.terminal.type(f"odd-one -{TAB}{TAB}")
        if shell != "bash":
            typing.terminal.see(re.escape(AWKWARD))
    assert not (tmp_path / "wrong").exists()


@pytest.mark.slow
@needs_shell["zsh"]
def test_zsh_finds_it_in_its_function_path_and_may_be_set_in_any_way(tmp_path: Path) -> None:
    path = put_stand_in(tmp_path, CLIENT, ["far away"])
    (tmp_path / "_chatfile-client").write_text(script(CLIENT, "zsh"))
    loading = "autoload -U compinit && compinit -D -u && setopt nounset shwordsplit shglob ksharrays && IFS=fah"
    with Typing("zsh", "", tmp_path, path, before=f"fpath=($PWD $fpath); {loading}") as typing:
        assert typing.run(f"chatfile-client get fa{TAB}") == ["get", "far away"]
        assert typing.run(f"chatfile-client hash fa{TAB}") == ["hash", "far away"]


@every_shell
def test_every_script_is_read_without_a_word(shell: str, tmp_path: Path) -> None:
    for program in (CLIENT, SERVER):
        (tmp_path / "script").write_text(script(program, shell))
        check = {"bash": ["bash", "-n"], "zsh": ["zsh", "-fn"], "fish": ["fish", "--no-execute"]}[shell]
        done = subprocess.run([*check, tmp_path / "script"], capture_output=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.slow
@every_shell
def test_a_file_of_a_real_server_is_completed_and_fetched(shell: str, tmp_path: Path) -> None:
    name = 'it\'s  a "very" odd $HOME \\ name;.txt'
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / name).write_bytes(b"content")
    shown = subprocess.check_output([path_of("chatfile-client"), "--completion", shell], text=True, timeout=PATIENCE)
    with (
        ServerProcess(tmp_path / "served") as server,
        Typing(shell, shown, tmp_path, Path(path_of("chatfile-client")).parent) as typing,
    ):
        typing.terminal.type(f"chatfile-client -s 127.0.0.1:{server.port} get it{TAB}{ENTER}")
        typing.terminal.see("SHA-256 verified")
    assert os.listdir(tmp_path / "client_downloads") == [name]
