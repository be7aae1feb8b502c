"""The script for zsh, from 5.1 on: a file of its function path, or read by `source` behind `compinit`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from chatfile.completions.program import Argument, Kind, Option, Program, Value
from chatfile.completions.text import filled, indented, quoted

_MAIN = r"""#compdef %NAME%
# Completes %NAME% in zsh. Made by: %NAME% --completion zsh
%WORDS%%COMMANDS%
_program() {
    local curcontext=${curcontext-} context state state_descr ret=1
    local -a line anywhere _program_line
    local -A opt_args
    _program_line=("${words[@]}")
    anywhere=(
        %ANYWHERE%
    )
    %ARGUMENTS%
    return ret
}

if [[ ${zsh_eval_context[-1]-} == loadautofunc || ${zsh_eval_context[-1]-} == shfunc ]]; then
    _program "$@"
elif (( $+functions[compdef] )); then
    compdef _program %NAME%
else
    print -u2 '%NAME%: what completes it wants this before it: autoload -U compinit && compinit'
fi
"""

_ALONE = r"""_arguments -s -S : "${anywhere[@]}" && ret=0"""

_BEFORE_A_COMMAND = r"""_arguments -C -s -S -A '-*' : "${anywhere[@]}" %OPTIONS% \
        '1: :_program_commands' '*:: :->behind' && ret=0
    if [[ ${state-} == behind ]]; then
        curcontext=${curcontext%:*}-${line[1]}:
        case ${line[1]} in
            %BEHIND%
        esac
    fi"""

_COMMANDS = r"""
_program_commands() {
    local -a commands
    commands=(
        %COMMANDS%
    )
    _describe -t commands command commands "$@"
}
"""

_REMOTE = r"""
# The names of the files that the server lists; not those that are shown escaped, for they are others.
_program_remote() {
    local name word list wanting='' ended=''
    local -a passed names
    name=${(Q)_program_line[1]}
    if [[ $name == '~/'* ]]; then
        name=$HOME/${name#'~/'}
    fi
    if ! whence -p -- "$name" >/dev/null; then
        name=%NAME%
    fi
    for word in "${(@Q)_program_line[2,-1]}"; do
        if [[ -n $wanting ]]; then
            passed+=("${word/#\~\//$HOME/}") wanting=''
            continue
        fi
        case $word in
            (--) ended=1; break ;;
            (%PASSED%) passed+=("$word") wanting=1 ;;
            (%ATTACHED%) passed+=("$word") ;;
        esac
    done
    if [[ -z $ended && $PREFIX == -* ]]; then
        return 1
    fi
    list=$(PYTHONIOENCODING=utf-8 command "$name" "${passed[@]}" %LISTING% </dev/null 2>/dev/null)
    names=("${(@f)list}")
    names=("${(@)names#*Z  }")
    names=("${(@)names:#(|*\\[xuU][0-9a-f][0-9a-f]*)}")
    if [[ -z $ended ]]; then
        names=("${(@)names:#-*}")
    fi
    compadd "$@" -a names
}
"""


def _escaped(text: str) -> str:
    return re.sub(r"[]\[\\:]", r"\\\g<0>", text)


def _lists(program: Program) -> list[tuple[str, ...]]:
    """The words to choose from, wherever there are some."""
    values = [option.value for _, option in program.every_option()]
    values += [argument.value for command in program.commands for argument in command.arguments]
    return list(dict.fromkeys(value.words for value in values if value and value.kind is Kind.WORD))


def _words(program: Program) -> Iterator[str]:
    for at, words in enumerate(_lists(program)):
        yield f'\n{program.prefix}_words_{at}() {{\n    compadd "$@" - {" ".join(map(quoted, words))}\n}}\n'


def _value(program: Program, value: Value) -> str:
    actions = {Kind.FILE: "_files", Kind.FOLDER: "_directories", Kind.REMOTE: f"{program.prefix}_remote"}
    if value.kind is Kind.WORD:
        actions[Kind.WORD] = f"{program.prefix}_words_{_lists(program).index(value.words)}"
    return f":{_escaped(value.title)}:{actions.get(value.kind, ' ')}"


def _option(program: Program, option: Option) -> Iterator[str]:
    before = "*" if option.may_repeat else f"({' '.join(option.names)})"
    value = _value(program, option.value) if option.value else ""
    for name in option.names:
        attached = "" if not value else "=" if name in option.long else "+"
        yield quoted(f"{before}{name}{attached}[{_escaped(option.meaning)}]{value}")


def _options(program: Program, options: Iterable[Option]) -> list[str]:
    return [spec for option in options for spec in _option(program, option)]


def _argument(program: Program, argument: Argument) -> str:
    return quoted(f"{'*' if argument.may_repeat else ''}{_value(program, argument.value)}")


def _behind(program: Program) -> list[str]:
    lines: list[str] = []
    for command in program.commands:
        specs = [_argument(program, argument) for argument in command.arguments]
        own = " ".join([*_options(program, command.options), *specs])
        lines.append(f'({quoted(command.name)}) _arguments -s -S : "${{anywhere[@]}}" {own} && ret=0 ;;')
    return lines


def _commands(program: Program) -> str:
    named = [quoted(f"{_escaped(command.name)}:{command.meaning}") for command in program.commands]
    return filled(_COMMANDS, program, COMMANDS=indented(named, 2)) if named else ""


def _arguments(program: Program) -> str:
    if not program.commands:
        return _ALONE
    return filled(
        _BEFORE_A_COMMAND,
        program,
        OPTIONS=" ".join(_options(program, program.options)),
        BEHIND=indented(_behind(program), 3),
    )


def _remote(program: Program) -> str:
    listing = program.listing
    if listing is None:
        return ""
    return filled(
        _REMOTE,
        program,
        LISTING=" ".join(map(quoted, listing.words)),
        PASSED="|".join(map(quoted, listing.options)),
        ATTACHED="|".join(f"{quoted(name)}{'=' if name.startswith('--') else '?'}*" for name in listing.options),
    )


def script(program: Program) -> str:
    """What zsh has to read."""
    return filled(
        _MAIN,
        program,
        WORDS="".join(_words(program)),
        COMMANDS=_commands(program) + _remote(program),
        ANYWHERE=indented(_options(program, program.anywhere), 2),
        ARGUMENTS=_arguments(program),
    )
