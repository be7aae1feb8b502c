"""Shell completion of both programs by argcomplete: Tab starts the program itself, with `_ARGCOMPLETE` set."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NoReturn

from argcomplete.finders import CompletionFinder
from argcomplete.lexers import split_line
from argcomplete.shell_integration import shellcode

from chatfile.typed import TypedLine, options_of
from chatfile.wire import printable

SHELLS = ("bash", "zsh", "fish")
RemoteNames = Callable[[Mapping[str, str]], Iterable[str]]
"""Returns the names of the files on the server, for the options with their values; it may raise SystemExit."""
_CHANGES = {
    # Bash would expand a name with * as a pattern of local files.
    "bash": (
        ("local SUPPRESS_SPACE=0", "local flags=$-\n        set -f\n        local SUPPRESS_SPACE=0"),
        ("        if [[ $? != 0 ]]", "        [[ $flags == *f* ]] || set +f\n        if [[ $? != 0 ]]"),
        ("${script:-$1}", r"${1/#\~\//$HOME/}"),
    ),
    # The command at the cursor instead of the whole line, which may hold several.
    "zsh": (
        ('"$BUFFER"', '"${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX ${(j: :)words[CURRENT+1,-1]}"'),
        ('"$CURSOR"', '"$(( ${#${(j: :)words[1,CURRENT-1]}} + 1 + ${#QIPREFIX} + ${#PREFIX} ))"'),
        ("${script:-${words[1]}}", "${~words[1]}"),
        ("        _describe", '        completions=("${(@)completions%:}")\n        _describe'),
    ),
}
"""Passages of argcomplete's script for a shell, each with what replaces it in ours."""
_SPECIAL = {
    "": re.compile(r"[][\\ \t\n\"'!#$&()*;<>?`{|}~^]"),
    "'": re.compile("'"),
    '"': re.compile(r'[\\"$`!]'),
}
"""The characters with a special meaning to bash, by the quote that is open."""
_ESCAPED = {"''": r"'\''", '"!': r'"\!"'}
"""What to write for a character that can't be escaped within an open quote, by the quote and the character."""
_NUMBER_SIGN = "\ue023"
"""Stands for a # on the line, which argcomplete would take for the begin of a comment."""
_REDIRECTION = re.compile(r"([0-9&]*[<>]+[&|]?)(.*)", re.DOTALL)
_IN_REDIRECTION = re.compile(r"\s[0-9&]*[<>]+[&|]?\s*\S*$")


def script(program: str, shell: str) -> str:
    """Return the script that lets `shell`, one of `SHELLS`, complete the command line of `program`."""
    text = shellcode([program], shell=shell, complete_arguments=["-o", "nospace"])
    for theirs, ours in _CHANGES.get(shell, ()):
        text = text.replace(theirs, ours)
    return text


def complete(parser: argparse.ArgumentParser, remote_names: RemoteNames = lambda _: ()) -> NoReturn:
    """Write the completions to descriptor 8, as argcomplete's protocol wants it, and end the process.

    Called where the shell has started the program for a Tab. A failure is never shown.
    """
    finder = _Finder()
    finder.remote_names = remote_names
    os.environ["COMP_LINE"] = os.environ.get("COMP_LINE", "").replace("#", _NUMBER_SIGN)
    try:
        with os.fdopen(8, "w", encoding="utf-8", errors="surrogateescape") as output:
            finder(parser, output_stream=output, exit_method=lambda _: None)
    finally:
        os._exit(0)  # 0 in any case: `set -e` would end a shell where it fails


class _Finder(CompletionFinder):
    """Finds the completions at the cursor, and quotes them as the shell needs it."""

    remote_names: RemoteNames

    def collect_completions(
        self,
        active_parsers: list[argparse.ArgumentParser],
        parsed_args: argparse.Namespace,  # noqa: ARG002 -- options may stand where argparse does not look for them
        cword_prefix: str,
    ) -> list[str]:
        """Return the words that may stand at the cursor and begin with `cword_prefix`."""
        line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
        prefix = cword_prefix.replace(_NUMBER_SIGN, "#")
        found = _Candidates(active_parsers[0], line, self.remote_names).at(point)
        self._display_completions = {word: text for word, text in found.items() if word.startswith(prefix)}
        return list(self._display_completions)

    def quote_completions(
        self, completions: list[str], cword_prequote: str, last_wordbreak_pos: int | None
    ) -> list[str]:
        """Return the words quoted for the shell, each from the place on where the shell inserts it."""
        shell = os.environ.get("_ARGCOMPLETE_SHELL")
        if shell == "fish":
            return completions
        if shell == "zsh":  # it quotes words itself; a colon begins the description
            quoted = [re.sub(r"[\\:]", r"\\\g<0>", word) for word in completions]
        else:
            at = _place_of_quote(cword_prequote) if cword_prequote else last_wordbreak_pos
            quoted = [_quoted(word, 0 if at is None else at + 1, cword_prequote) for word in completions]
            if (
                self.append_space
                and len(quoted) == 1
                and not cword_prequote
                and not quoted[0].endswith(("=", "/", ":"))
            ):
                quoted[0] += " "
        meanings = [self._display_completions[word].replace("\\", r"\\") for word in completions]
        self._display_completions = dict(zip(quoted, meanings, strict=True))
        return quoted


def _quoted(word: str, begin: int, quote: str) -> str:
    """Return `word` from the index `begin` on, escaped for bash where `quote` is open."""
    if not quote and word[begin - 1 : begin] == "@":  # it breaks words, and belongs to the one after it
        begin -= 1
    home = "~/" if word.startswith("~/") and not begin and not quote else ""
    return home + _SPECIAL[quote].sub(
        lambda special: _ESCAPED.get(quote + special[0], f"\\{special[0]}"), word[begin + len(home) :]
    )


def _place_of_quote(quote: str) -> int:
    """Return the index, in the word at the cursor, of the last character before `quote`, which is still open."""
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    places = (at for at in range(len(line) - 1, -1, -1) if line[at] == quote and not line[:at].endswith("\\"))
    begin = next(at for at in places if split_line(line[: at + 1])[0] and not split_line(line[:at])[0])
    return len(split_line(line[:begin])[1]) - 1


def _words(line: str) -> tuple[list[str], str]:
    """Return the words of `line` after the program's name, and the unfinished one at its end."""
    _, prefix, _, words, _ = split_line(line)
    return [word.replace(_NUMBER_SIGN, "#") for word in words[1:]], prefix.replace(_NUMBER_SIGN, "#")


def _options_left(typed: TypedLine) -> Iterator[tuple[str, str]]:
    """Yield the names of the options that may still be given, each with its help."""
    given = {each.action.dest for each in typed.given if not isinstance(each.action, argparse._AppendAction)}
    for name, option in options_of(typed.command) if typed.command else ():
        if option.dest not in given:
            yield name, typed.program._get_formatter()._expand_help(option) if option.help else ""


def _expanded(value: str) -> str:
    return os.path.expanduser(value) if value.startswith("~/") else value


def _without_redirections(words: Iterable[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        redirection = _REDIRECTION.fullmatch(word)
        if redirection is None:
            yield word
        elif not redirection[2]:  # its target is the next word
            next(rest, None)


class _Candidates:
    """The words that may stand at the cursor, each with its help, whatever the word there begins with."""

    def __init__(self, parser: argparse.ArgumentParser, line: str, remote_names: RemoteNames) -> None:
        """Look at the whole `line`: options after the cursor count as well."""
        self._parser = parser
        self._line = line
        self._remote_names = remote_names

    def at(self, point: int) -> Mapping[str, str]:
        """Return the candidates for the word that ends at the index `point` of the line."""
        words, prefix = _words(self._line[:point])
        if _IN_REDIRECTION.search(self._line[:point]):
            into = _REDIRECTION.fullmatch(prefix)
            operator, path = into.groups() if into else ("", prefix)
            return {f"{operator}{each}": "" for each in _files(path)}
        typed = TypedLine(self._parser, _without_redirections(words))
        if typed.wanting is not None:
            return self._values(typed.wanting.action, prefix)
        if not typed.is_ended and prefix.startswith("-"):
            return self._options(typed, prefix)
        if typed.commands and not typed.names:
            return {name: str(command.description) for name, command in typed.commands.items()}
        values = self._values(typed.argument(), prefix)
        return values if typed.is_ended else {each: text for each, text in values.items() if not each.startswith("-")}

    def _options(self, typed: TypedLine, prefix: str) -> Mapping[str, str]:
        name, equals, value = prefix.partition("=")
        option = typed.option(name) if equals else None
        if option is None:
            return dict(_options_left(typed))
        return {f"{name}={each}": text for each, text in self._values(option, value).items()}

    def _values(self, action: argparse.Action | None, prefix: str) -> Mapping[str, str]:
        """Return the candidates for the value of `action`: its metavar, such as FILE, tells of which kind they are."""
        match action and action.metavar:
            case "FILE":
                found: Iterable[str] = _files(prefix)
            case "FOLDER":
                found = (path for path in _files(prefix) if path.endswith("/"))
            case "NAME":
                words, last = _words(self._line)
                given = TypedLine(self._parser, _without_redirections([*words, last])).given
                names = self._remote_names(
                    {each.action.dest: _expanded(each.value) for each in given if each.value is not None}
                )
                found = _next_levels(names, prefix.replace(_NUMBER_SIGN, "#"))
            case "SHELL":
                found = SHELLS
            case _:
                found = map(str, (action and action.choices) or ())
        return dict.fromkeys((word for word in found if printable(word) == word), "")


def _next_levels(paths: Iterable[str], prefix: str) -> Iterator[str]:
    """Yield the paths that begin with `prefix`, each up to the next slash behind that: folders level by level."""
    for path in paths:
        slash = path.find("/", len(prefix))
        if path.startswith(prefix):
            yield path if slash < 0 else path[: slash + 1]


def _files(prefix: str) -> list[str]:
    """Return the paths of local files and folders that begin with `prefix`, those of folders with a slash behind."""
    folder, beginning = prefix[: prefix.rfind("/") + 1], prefix.rpartition("/")[2]
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if entry.name.startswith(beginning)]
    except OSError:
        return []
    return sorted(f"{folder}{name}{'/' * is_folder}" for name, is_folder in found if beginning or name[0] != ".")
