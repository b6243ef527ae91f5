# Made by contrib/generate.py with click 8.5.1; do not edit.
function _gaffer
    set -l line (commandline -cp | string collect)
    set -l now (date +%s)
    if test "$line" != "$_gaffer_line"; or test $now -ge "$_gaffer_until"
        set -l program (commandline -opc)[1]
        command -q -- $program; or set program gaffer
        set -g _gaffer_answer (COMP_LINE=$line _GAFFER_COMPLETE=fish_complete $program 2>/dev/null)
        set -g _gaffer_line $line
        set -g _gaffer_until (math $now + 2)
    end
    for item in $_gaffer_answer
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

complete --no-files --command gaffer --arguments "(_gaffer)"
