"""Units, checked by systemd-analyze where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given

from gaffer.errors import InvalidConfig
from gaffer_plugins.exporters import systemd

from ..kit.exports import AWKWARD, TEXTS, application, job

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="there is no systemd-analyze")
#: What systemd.syntax(7) lets stand behind a backslash.
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t"}
AWKWARD_WORDS = [
    "a b",
    "%h 50%",
    "$HOME",
    'say "no"',
    "it's",
    "back\\slash",
    ";",
    "",
    "é",
    "line\nbreak",
    "\x01",
    "-x",
    "@x",
]


def write(export, folder):
    for file in export.files:
        (folder / file.path).write_text(file.text, "utf-8")
    return [file.path for file in export.files]


def verify(folder, *units):
    """Return what systemd complains of."""
    words = [ANALYZE, "verify", "--man=no", "--generators=no", *(f"./{unit}" for unit in units)]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
    ours = [line for line in ended.stderr.splitlines() if any(unit.partition(".")[0] in line for unit in units)]
    return ended.returncode, ours


@needs_systemd
def test_systemd_has_nothing_to_complain_of(tmp_path):
    awkward = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in AWKWARD_WORDS)
    env = {f"V{number}": word for number, word in enumerate(AWKWARD_WORDS)}
    web = job(f"./web.py {awkward}", env, copies=2, cwd="/tmp", uid=0, gid="root", umask=0o27, exit_codes=[0, 3])
    shell = job('cat $HOME/% | sort; echo "it\'s"', {"a.b": "1"}, name="w+x", shell=True, flapping=[2, 1, 7, 5])
    units = write(systemd.export(application(web, shell)), tmp_path)
    assert sorted(units) == ["shop-w\\x2bx-1.service", "shop-web-1.service", "shop-web-2.service", "shop.target"]
    assert verify(tmp_path, *units) == (0, [])


@needs_systemd
def test_systemd_would_have_complained(tmp_path):
    (tmp_path / "shop.service").write_text('[Service]\nExecStart=/bin/sh "unfinished\nWorkingDirectory=x\n')
    code, complaints = verify(tmp_path, "shop.service")
    assert code != 0 and complaints


@needs_systemd
@pytest.mark.parametrize("text", ["a b", "50%", "%h", "$HOME", "é;", "#x"])
def test_systemd_reads_a_word_as_it_was(text, tmp_path):
    """Only the program's name is shown by the check, and there no variable is replaced; quotes are refused."""
    (tmp_path / "shop.service").write_text(
        f"[Service]\nExecStart={systemd.word('/none/' + text, dollars=False)}\n", "utf-8"
    )
    _, complaints = verify(tmp_path, "shop.service")
    assert any(f"Command /none/{text} is not executable" in line for line in complaints), complaints


def read_word(text):
    """Read one word as systemd.syntax(7) and systemd.service(5) say."""
    assert text[0] == text[-1] == '"'
    pattern = r"\\x([0-9a-f]{2})|\\(.)|(%%)|(\$\$)|([^\\%$\"])"
    parts = list(re.finditer(pattern, text[1:-1], re.DOTALL))
    assert "".join(part.group() for part in parts) == text[1:-1], "something means something else"
    return "".join(
        chr(int(part[1], 16)) if part[1] else _ESCAPES[part[2]] if part[2] else (part[3] or part[4] or part[5] * 2)[0]
        for part in parts
    )


@given(AWKWARD | TEXTS)
def test_a_word_is_read_back(text):
    written = systemd.word(text)
    assert read_word(written) == text
    assert not re.search("[\r\n]", written)


def test_what_a_unit_says(tmp_path):
    web = job("python -u web.py", {"A": "b c"}, copies=2, graceful_timeout=2.5, restart="on-failure", stop_signal="INT")
    export = systemd.export(application(web))
    target, first, second = export.files
    assert target.text.splitlines() == [
        *("[Unit]", "Description=shop", "Wants=shop-web-1.service", "Wants=shop-web-2.service", ""),
        *("[Install]", "WantedBy=multi-user.target"),
    ]
    assert second.path == "shop-web-2.service"
    assert second.text.splitlines() == [
        *("[Unit]", "Description=shop-web-2", "PartOf=shop.target", "StartLimitIntervalSec=0", ""),
        *("[Service]", "WorkingDirectory=/srv/shop", 'Environment="A=b c"', 'Environment="PORT=5101"'),
        'ExecStart=/usr/bin/env "python" "-u" "web.py"',
        *(
            "Restart=on-failure",
            "RestartSec=100ms",
            "KillSignal=SIGINT",
            "KillMode=control-group",
            "TimeoutStopSec=2.5",
        ),
    ]
    assert export.notes == []


def test_what_it_cannot_hold_is_refused():
    with pytest.raises(InvalidConfig, match="cannot hold the path '/srv/a.nb'; use another folder"):
        systemd.export(application(job("x", cwd="/srv/a\nb")))


def test_what_it_does_not_know_is_told():
    assert systemd.export(application(job("x", flapping=[2, 1, 7, 5], redirect_input=True))).notes == [
        "web: systemd gives up after 2 exits in 1 s, without a pause",
        "web: systemd gives no service a stdin that can be written to",
    ]


def test_dependencies():
    web = job("serve", depends_on=["db:started", "db:ready", "other.x:ready"])
    made = systemd.export(application(web, job("x", name="db", copies=2)))
    unit = next(file.text for file in made.files if "web" in file.path)
    assert "Wants=shop-db-1.service shop-db-2.service\nAfter=shop-db-1.service shop-db-2.service\n" in unit
    assert made.notes == [
        "web: it starts after db; with Type=notify there, when that is ready",
        "web: depends_on other.x:ready is left out: only units of this application are known",
    ]
