# Made by contrib/generate.py with click 8.5.1; do not edit.
function _gafferctl
    set -l line (commandline -cp | string collect)
    set -l now (date +%s)
    if test "$line" != "$_gafferctl_line"; or test $now -ge "$_gafferctl_until"
        set -l program (commandline -opc)[1]
        command -q -- $program; or set program gafferctl
        set -g _gafferctl_answer (COMP_LINE=$line _GAFFERCTL_COMPLETE=fish_complete $program 2>/dev/null)
        set -g _gafferctl_line $line
        set -g _gafferctl_until (math $now + 2)
    end
    for item in $_gafferctl_answer
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

complete --no-files --command gafferctl --arguments "(_gafferctl)"
