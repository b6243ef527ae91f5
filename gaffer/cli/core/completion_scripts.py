"""Completion scripts for bash, zsh and fish, which hand the line on as it is typed and keep an answer for a moment.

Those of click let bash cut words at ``:`` and ``=``, as in URLs, and a script that zsh has autoloaded completes nothing
the second time.
"""

from __future__ import annotations

import os
import re

from click.shell_completion import (
    BashComplete,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

#: Seconds for which a script keeps an answer, for the next Tab at the same place.
KEPT = 2
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

# bash replaces what follows the last of COMP_WORDBREAKS in the word, $2, so that is what it gets.
_BASH = r"""
FUNCTION() {
    local line=${COMP_LINE:0:COMP_POINT} word cut type value
    if [[ $line != "$FUNCTION_line" || $SECONDS -ge ${FUNCTION_until:-0} ]]; then
        FUNCTION_answer=$(COMP_LINE=$line VARIABLE=bash_complete "${1/#\~\//$HOME/}" 2>/dev/null)
        FUNCTION_line=$line FUNCTION_until=$((SECONDS + KEPT))
    fi
    word=${line##*[[:space:]]}
    cut=${word%"$2"}
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$cut"}") ;;
        esac
    done <<< "$FUNCTION_answer"
}

complete -o nosort -F FUNCTION PROGRAM
"""

_ZSH = r"""#compdef PROGRAM

FUNCTION() {
    local -a described plain
    local type value help line="${(j: :)words[1,CURRENT]}" program=${~words[1]}
    if [[ $line != "$FUNCTION_line" || $SECONDS -ge ${FUNCTION_until:-0} ]]; then
        (( $+commands[$program] )) || [[ -x $program ]] || program=PROGRAM
        typeset -ga FUNCTION_answer
        FUNCTION_answer=("${(@f)$(COMP_LINE=$line VARIABLE=zsh_complete $program 2>/dev/null)}")
        typeset -g FUNCTION_line=$line FUNCTION_until=$((SECONDS + KEPT))
    fi
    for type value help in "${FUNCTION_answer[@]}"; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain) if [[ $help == _ ]]; then plain+=("$value"); else described+=("$value:$help"); fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
}

# The file is autoloaded as the function of its name, or it is sourced.
if [[ $funcstack[1] == FUNCTION ]]; then
    FUNCTION "$@"
else
    compdef FUNCTION PROGRAM
fi
"""

_FISH = r"""
function FUNCTION
    set -l line (commandline -cp | string collect)
    set -l now (date +%s)
    if test "$line" != "$FUNCTION_line"; or test $now -ge "$FUNCTION_until"
        set -l program (commandline -opc)[1]
        command -q -- $program; or set program PROGRAM
        set -g FUNCTION_answer (COMP_LINE=$line VARIABLE=fish_complete $program 2>/dev/null)
        set -g FUNCTION_line $line
        set -g FUNCTION_until (math $now + KEPT)
    end
    for item in $FUNCTION_answer
        set -l parts (string split -m 1 , -- $item)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end

complete --no-files --command PROGRAM --arguments "(FUNCTION)"
"""


class _Typed(ShellComplete):
    """Completion of the line in ``COMP_LINE``, up to the cursor."""

    def source(self) -> str:
        text = self.source_template.replace("FUNCTION", f"_{self.prog_name}").replace("VARIABLE", self.complete_var)
        return text.replace("PROGRAM", self.prog_name).replace("KEPT", str(KEPT))

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1].isspace() else ""
        while words and _ASSIGNMENT.match(words[0]):
            del words[0]
        return words[1:], incomplete


class Bash(_Typed, BashComplete):
    """Completion in bash."""

    source_template = _BASH


class Zsh(_Typed, ZshComplete):
    """Completion in zsh."""

    source_template = _ZSH


class Fish(_Typed, FishComplete):
    """Completion in fish."""

    source_template = _FISH


def register() -> None:
    """Replace click's scripts."""
    for one in (Bash, Zsh, Fish):
        add_completion_class(one)
