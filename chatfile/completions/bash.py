"""The script for bash, from 3.2 on, which needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatfile.completions.program import Kind, Option, Program, Value
from chatfile.completions.text import filled, indented, quoted

_MAIN = r"""# Completes %NAME% in bash. Made by: %NAME% --completion bash

# The words of the line $1 into `words`, without their quotes, and the last one into `current`; into `quote` the quote
# that is open at its end, into `start` how much of it stands before what readline replaces.
_program_split() {
    local line=$1 breaks=${COMP_WORDBREAKS-} character next begun='' before=0 i
    words=() current='' quote='' start=0 redirected=''
    for (( i = 0; i < ${#line}; i++ )); do
        character=${line:i:1} next=${line:i+1:1}
        case $quote$character in
        "''" | '""') quote='' start=$before ;;
        "'" | '"') begun=1 quote=$character before=$start start=${#current} ;;
        "'"?) current+=$character ;;
        '"\')
            case $next in
            '\' | '"' | '$' | '`') current+=$next i=$(( i + 1 )) ;;
            *) current+='\' ;;
            esac
            ;;
        '"'?) current+=$character ;;
        '\') begun=1 current+=$next i=$(( i + 1 )) ;;
        [[:space:]] | '<' | '>')
            if [[ $character == [\<\>] && ! ${current//[0-9\&]/} ]]; then
                begun=''
            elif [[ $begun && ! $redirected ]]; then
                words+=("$current")
            fi
            if [[ $character == [\<\>] ]]; then
                redirected=1
            elif [[ $begun ]]; then
                redirected=''
            fi
            begun='' current='' start=0
            ;;
        *)
            if [[ $character$next == '~/' && ! $begun ]]; then
                current=${HOME-}
            else
                current+=$character
            fi
            begun=1
            if [[ $breaks == *"$character"* ]]; then
                start=${#current}
            fi
            ;;
        esac
    done
}

# What `words` say: the command, the options so far, the one that still wants its value, how many arguments came.
_program_read() {
    local word name attached i
    for (( i = 1; i < ${#words[@]}; i++ )); do
        word=${words[i]}
        if [[ $wanting ]]; then
            _program_pass "$wanting" "$word"
            wanting=''
        elif [[ $ended || $word != -?* ]]; then
            if [[ %HASCOMMANDS% && ! $command ]]; then
                command=$word
            else
                count=$(( count + 1 ))
            fi
        elif [[ $word == -- ]]; then
            ended=1
        else
            case $word in
            --*=*) name=${word%%=*} attached=1 ;;
            --*) name=$word attached='' ;;
            *) name=${word:0:2} attached=${word:2} ;;
            esac
            given+="$name "
            _program_pass "$name" "$word"
            _program_takes "$name"
            if [[ $takes && ! $attached ]]; then
                wanting=$name
            fi
        fi
    done
}

# Of the words $@, those that begin as the current one does, quoted as it is.
_program_offer() {
    local word rest i
    for word; do
        if [[ $word != "$current"* ]]; then
            continue
        elif [[ ! $quote ]]; then
            rest=${word:start}
            if [[ $rest ]]; then
                printf -v rest %q "$rest"
            fi
        else
            rest=''
            for (( i = start; i < ${#word}; i++ )); do
                case $quote${word:i:1} in
                "''") rest+="'\\''" ;;
                '"!') rest+='"\!"' ;;
                '"\' | '""' | '"$' | '"`') rest+=\\${word:i:1} ;;
                *) rest+=${word:i:1} ;;
                esac
            done
        fi
        COMPREPLY+=("$rest")
    done
}

# Of the options $@, each with all its names, those that were not given.
_program_offer_options() {
    local names name
    for names; do
        for name in $names; do
            if [[ $given == *" $name "* ]]; then
                continue 2
            fi
        done
        _program_offer $names
    done
}

# What the option $1 takes, into `takes`, and into `choices` where that is one of a few words.
_program_takes() {
    choices=()
    case $command:$1 in
    %TAKES%
    *) takes='' ;;
    esac
}

# The same for the argument that comes after $1 others.
_program_argument() {
    choices=()
    case $command:$1 in
    %ARGUMENTS%
    *) takes=anything ;;
    esac
}

_program_options() {
    case $command in
    %OPTIONS%
    esac
    %ANYWHERE%
}

# Keeps the option $1 in mind where the word $2 of it is for the listing as well.
_program_pass() {
    case $1 in
    %PASSED%) passed+=("$2") ;;
    esac
}
%REMOTE%
_program() {
    local IFS=$' \t\n' words current quote start redirected
    local command='' given=' ' wanting='' ended='' count=0 takes='' choices passed
    passed=() COMPREPLY=()
    _program_split "${COMP_LINE:0:COMP_POINT}"
    _program_read
    if [[ $redirected ]]; then
        return 0
    elif [[ $wanting ]]; then
        _program_takes "$wanting"
    elif [[ ! $ended && $current == --*=* ]]; then
        _program_takes "${current%%=*}"
        choices=(${choices[@]+"${choices[@]/#/${current%%=*}=}"})
    elif [[ ! $ended && $current == -* ]]; then
        takes=option
    elif [[ %HASCOMMANDS% && ! $command ]]; then
        takes=word choices=(%COMMANDS%)
    else
        _program_argument "$count"
    fi
    if [[ $takes == file ]]; then
        return 0
    fi
    compopt +o default 2>/dev/null || :
    case $takes in
    folder) compopt -o dirnames 2>/dev/null || : ;;
    word) _program_offer "${choices[@]}" ;;
    option) _program_options ;;
    remote) _program_offer_remote ;;
    esac
    return 0
}

complete -o default -F _program %NAME%
"""

_REMOTE = r"""
# The names of the files that the server lists; not those that are shown escaped, for they are others.
_program_offer_remote() {
    local name=${words[0]} listing
    if ! type -P "$name" >/dev/null; then
        name=%NAME%
    fi
    _program_read_on
    listing=$(
        PYTHONIOENCODING=utf-8 \
            command "$name" ${passed[@]+"${passed[@]}"} %LISTING% </dev/null 2>/dev/null
    ) || :
    while IFS= read -r name; do
        name=${name#*Z  }
        case $name in
        *\\[xuU][0-9a-f][0-9a-f]*) ;;
        -*)
            if [[ $ended ]]; then
                _program_offer "$name"
            fi
            ;;
        ?*) _program_offer "$name" ;;
        esac
    done <<< "$listing"
}

# The options behind the cursor, which splits a word, count as well.
_program_read_on() {
    local words current quote=$quote start redirected wanting='' given takes choices ended=$ended
    _program_split "x$quote${COMP_LINE:COMP_POINT} "
    _program_read
}
"""


def _patterns(command: str | None, names: Iterable[str]) -> str:
    return " | ".join(f"{'*' if command is None else quoted(command)}:{quoted(name)}" for name in names)


def _taken(value: Value) -> str:
    choices = f" choices=({' '.join(map(quoted, value.words))})" if value.kind is Kind.WORD else ""
    return f"takes={value.kind.value}{choices} ;;"


def _takes(program: Program) -> list[str]:
    return [
        f"{_patterns(command, option.names)}) {_taken(option.value)}"
        for command, option in program.every_option()
        if option.value
    ]


def _arguments(program: Program) -> list[str]:
    return [
        f"{quoted(command.name)}:{'*' if argument.may_repeat else at}) {_taken(argument.value)}"
        for command in program.commands
        for at, argument in enumerate(command.arguments)
    ]


def _options(program: Program) -> list[str]:
    own = {"": program.options} | {command.name: command.options for command in program.commands}
    return [f"{quoted(name)}) {_offered(program, options)} ;;" for name, options in own.items() if options]


def _offered(program: Program, options: Sequence[Option]) -> str:
    offers = {"offer_options": [" ".join(option.names) for option in options if not option.may_repeat]}
    offers["offer"] = [name for option in options if option.may_repeat for name in option.names]
    calls = (" ".join([f"{program.prefix}_{how}", *map(quoted, words)]) for how, words in offers.items() if words)
    return "; ".join(calls)


def script(program: Program) -> str:
    """What bash has to read."""
    listing = program.listing
    remote = listing and filled(_REMOTE, program, LISTING=" ".join(map(quoted, listing.words)))
    return filled(
        _MAIN,
        program,
        HASCOMMANDS="1" if program.commands else "''",
        TAKES=indented(_takes(program), 1),
        ARGUMENTS=indented(_arguments(program), 1),
        OPTIONS=indented(_options(program), 1),
        ANYWHERE=_offered(program, program.anywhere),
        PASSED=" | ".join(map(quoted, listing.options if listing else ("",))),
        COMMANDS=" ".join(quoted(command.name) for command in program.commands),
        REMOTE=remote or "",
    )
