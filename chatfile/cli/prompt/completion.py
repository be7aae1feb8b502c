"""Completion at the prompt by Tab: commands, and the names of files, of which the latest listing tells."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator, Sequence

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    PathCompleter,
    get_common_complete_suffix,
)
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from chatfile import wire
from chatfile.cli.commands import ALIASES, DESCRIPTIONS, OPTIONS, TAKES_A_FOLDER, TAKES_A_NAME
from chatfile.cli.format import format_size, truncate
from chatfile.cli.patterns import UNKNOWN, escaped, last_word

_SIZE = 7
"""Columns of a size, under each other in the menu."""
MOST = 1000
"""Names in the menu: nobody reads more, and a list without end would hold the keys up."""
_WIDEST = 48
"""Columns of the screen for a name in the menu: an endless one would push every size out of the window."""


class Completions(Completer):
    """Finds the words that may stand at the cursor."""

    def __init__(
        self,
        files: Callable[[], Sequence[wire.FileRow]],
        folder: Callable[[], str],
        refresh: Callable[[], object],
        when_listed: Callable[[Callable[[], object]], object],
    ) -> None:
        """Look for names in `files`, the latest listing, and for local folders in `folder`.

        `refresh` asks for a newer one, for the next time; `when_listed` calls its argument when that has come.
        """
        self.when_listed = when_listed
        self._files = files
        self._folders = PathCompleter(only_directories=True, get_paths=lambda: [folder() or "."], expanduser=True)
        self._refresh = refresh

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        """Yield the words that may stand before the cursor of `document`. Called on Tab."""
        self._refresh()
        line = document.current_line_before_cursor
        word, space, rest = line.partition(" ")
        options = _options(word.lower(), rest.rpartition(" ")[2])
        if not space:
            yield from _commands(word)
        elif options:
            yield from options
        elif word.lower() == "lcd":
            yield from self._folders.get_completions(Document(rest), event)
        elif word.lower() in TAKES_A_NAME:
            yield from _names(rest, self._files())
        elif word.lower() in TAKES_A_FOLDER:
            yield from _names(rest, [row for row in self._files() if "/" in row.name], only_folders=True)


def tab(completer: Completions) -> KeyBindings:
    """Return the binding of Tab. Where there is one completion only, it is in the line before the next key is handled.

    Where nothing is found and a listing is under way, the line is completed when that comes, if it is still the same.
    """
    keys = KeyBindings()

    def complete_now(buffer: Buffer) -> bool:
        found = list(completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        if len(found) == 1:
            buffer.apply_completion(found[0])
        elif found:
            buffer.insert_text(get_common_complete_suffix(buffer.document, found))
            buffer.start_completion()
        return bool(found)

    @keys.add("tab", filter=~is_searching)
    def complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None:
            buffer.complete_next()
            return
        app, asked = event.app, buffer.document

        def complete_later() -> None:
            if app.is_running and app.current_buffer is buffer and buffer.document == asked and complete_now(buffer):
                app.invalidate()

        if not complete_now(buffer):
            context = contextvars.copy_context()  # contexts of network events lack the prompt's application
            completer.when_listed(lambda: context.run(complete_later))

    return keys


def _commands(beginning: str) -> Iterable[Completion]:
    for word, description in DESCRIPTIONS.items():
        if word.startswith(beginning.lower()):
            text = f"{word} " if word in TAKES_A_NAME else word
            yield Completion(text, -len(beginning), display=word, display_meta=description)


def _options(command: str, beginning: str) -> list[Completion]:
    """Return the options of a command, where one is begun; a name that begins with a dash has to stand behind `--`."""
    options = OPTIONS.get(ALIASES.get(command, command).removesuffix("!"), {}) if beginning.startswith("-") else {}
    return [
        Completion(option, -len(beginning), display=option.rstrip(), display_meta=meaning)
        for option, meaning in options.items()
        if option.startswith(beginning)
    ]


def _names(typed: str, rows: Sequence[wire.FileRow], *, only_folders: bool = False) -> Iterator[Completion]:
    """Yield names in place of all that was typed; where none begins like that, in place of its last word."""
    start, word = 0, typed
    found = _found(typed, rows)
    if not found:
        start, word = last_word(typed)
        found = _found(word, rows)
    if only_folders:
        found = [row for row in found if row.name.endswith("/")]
    yield from _offered(found, len(typed) - start, escaped if start or word != typed else lambda name: name)


def _found(typed: str, rows: Sequence[wire.FileRow]) -> list[wire.FileRow]:
    """Return the files and folders whose names begin with what was typed; where there are none, those that contain it.

    Of paths, only the names up to the next `/` are found.
    """
    found = dict.fromkeys(_next_level(row, len(typed)) for row in rows if row.name.startswith(typed))
    return list(found) or [row for row in rows if typed.casefold() in row.name.casefold()]


def _next_level(row: wire.FileRow, count: int) -> wire.FileRow:
    """Return the folder that the path of a file goes on with behind `count` characters; else the file."""
    slash = row.name.find("/", count)
    return row if slash < 0 else wire.FileRow(UNKNOWN, 0, row.name[: slash + 1])


def _offered(found: Sequence[wire.FileRow], replaced: int, written: Callable[[str], str]) -> Iterator[Completion]:
    """Yield each file's name, `written` as the line needs it, in place of the last `replaced` characters."""
    # The last one stands for those left out: names are sorted, so it shares with the first what all share.
    for row in found if len(found) <= MOST else [*found[: MOST - 1], found[-1]]:
        if wire.printable(row.name) == row.name:  # it goes into the line unescaped: it must not steer the terminal
            size = "folder" if row.size == UNKNOWN else format_size(row.size)
            display, size = truncate(row.name, _WIDEST), f"{size:>{_SIZE}}"
            yield Completion(written(row.name), -replaced, display=display, display_meta=size)
