"""The script for fish, from 3.1 on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chatfile.completions.program import Kind, Option, Program, Value
from chatfile.completions.text import filled

_MAIN = r"""# Completes %NAME% in fish. Made by: %NAME% --completion fish

# Whether none of these options was given; one whose value is being typed was not yet.
function _program_lacks
    set -l words (commandline -opc)
    if contains -- $words[-1] %VALUED%
        set -e words[-1]
    end
    for word in $words
        for option in $argv
            if test "$word" = $option; or string match -q -- "$option=*" "$word"
                return 1
            end
        end
    end
    return 0
end
%FUNCTIONS%
complete -c %NAME% -f
%COMPLETIONS%
"""

_COMMANDS = r"""
# Whether the command is one of these; without any, whether it is still to come.
function _program_at
    set -l words (commandline -opc)
    set -l wanting no
    for word in $words[2..-1]
        if test $wanting = yes
            set wanting no
        else
            switch "$word"
                case %VALUED%
                    set wanting yes
                case '-*'
                case '*'
                    contains -- "$word" $argv
                    return
            end
        end
    end
    test (count $argv) -eq 0
end
"""

_REMOTE = r"""
# The names of the files that the server lists; not those that are shown escaped, for they are others.
function _program_remote
    set -l words (commandline -opc)
    set -l dashed '-*'
    if contains -- -- $words
        set dashed ''
    else if string match -q -- '-*' (commandline -ct)
        return
    end
    set -l program (string replace -r -- '^~/' "$HOME/" $words[1])
    if not command -s -q -- $program
        set program %NAME%
    end
    set -l passed
    set -l wanting no
    for word in $words[2..-1]
        if test $wanting = yes
            set -a passed (string replace -r -- '^~/' "$HOME/" $word)
            set wanting no
        else
            switch "$word"
                case --
                    break
                case %PASSED%
                    set -a passed $word
                    set wanting yes
                case %ATTACHED%
                    set -a passed $word
            end
        end
    end
    set -lx PYTHONIOENCODING utf-8
    set -l names (command $program $passed %LISTING% </dev/null 2>/dev/null | string replace -r -- '^.*?Z  ' '')
    set names (string match -v -r -- '\\\\[xuU][0-9a-f]{2}' $names)
    string match -v -- $dashed $names
end
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _value(program: Program, value: Value) -> str:
    if value.kind is Kind.FILE:
        return "-r -F"
    if value.kind is Kind.FOLDER:
        return "-x -a '(__fish_complete_directories)'"
    if value.kind is Kind.REMOTE:
        return f"-x -a '({program.prefix}_remote)'"
    if value.kind is Kind.WORD:
        return f"-x -a {_quoted(' '.join(map(_quoted, value.words)))}"
    return "-x"


def _option(program: Program, option: Option, at: str) -> str:
    lacks = "" if option.may_repeat else f"{program.prefix}_lacks {' '.join(option.names)}"
    condition = "; and ".join(filter(None, (at, lacks)))
    words = [f"complete -c {program.name}", f"-n {_quoted(condition)}" if condition else ""]
    words += [f"-s {name[1:]}" for name in option.short] + [f"-l {name[2:]}" for name in option.long]
    words += [_value(program, option.value) if option.value else "", f"-d {_quoted(option.meaning)}"]
    return " ".join(filter(None, words))


def _options(program: Program) -> Iterator[str]:
    for command, option in program.every_option():
        at = "" if command is None else f"{program.prefix}_at {_quoted(command) if command else ''}".rstrip()
        yield _option(program, option, at)


def _commands(program: Program) -> Iterator[str]:
    for command in program.commands:
        named = f"-a {_quoted(_quoted(command.name))} -d {_quoted(command.meaning)}"
        yield f"complete -c {program.name} -n {program.prefix}_at {named}"


def _arguments(program: Program) -> Iterator[str]:
    for command in program.commands:
        for argument in command.arguments:
            if argument.value.kind is not Kind.ANYTHING:
                at = _quoted(f"{program.prefix}_at {_quoted(command.name)}")
                yield f"complete -c {program.name} -n {at} {_value(program, argument.value)}"


def _valued(program: Program) -> Iterable[str]:
    names = [name for _, option in program.every_option() if option.value for name in option.names]
    return map(_quoted, dict.fromkeys(names))


def _functions(program: Program) -> Iterator[str]:
    if program.commands:
        yield filled(_COMMANDS, program, VALUED=" ".join(_valued(program)))
    if program.listing:
        names = program.listing.options
        yield filled(
            _REMOTE,
            program,
            LISTING=" ".join(map(_quoted, program.listing.words)),
            PASSED=" ".join(map(_quoted, names)),
            ATTACHED=" ".join(f"'{name}{'=' if name.startswith('--') else ''}*'" for name in names),
        )


def script(program: Program) -> str:
    """What fish has to read."""
    return filled(
        _MAIN,
        program,
        VALUED=" ".join(_valued(program)),
        FUNCTIONS="".join(_functions(program)),
        COMPLETIONS="\n".join((*_commands(program), *_options(program), *_arguments(program))),
    )
