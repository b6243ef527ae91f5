"""The converters from supervisor and circus, on configurations as people have them."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gaffer
from gaffer.cli.app.gaffer import make_program
from gaffer.cli.core.program import run
from gaffer.config import convert as converters
from gaffer.config.ini_reader import parse_text
from gaffer.config.settings import Options, Settings, read_settings
from gaffer.errors import ConfigError
from gaffer_plugins import inijobs
from gaffer_plugins.logfiles import LogfilesPlugin
from tests.kit.data import data_folder

SAMPLES = data_folder() / "convert"


def convert(path, source=None):
    """Return what the converter makes, and its notes without the samples' folder."""
    text, notes = converters.convert(str(path), source)
    return text, [note.replace(f"{SAMPLES}/", "") for note in notes]


def read(text):
    settings = Settings(Options(), parse_text(text, "g.ini"))
    assert settings.problems == []
    fields = gaffer.Manager(plugins=[LogfilesPlugin]).job_fields
    assert inijobs.gaffer_check_config(settings, fields) == []
    return settings, {one.job_name.short: one for one in inijobs.gaffer_load_jobs(settings, fields)}


@pytest.fixture(scope="module")
def supervisord():
    return convert(SAMPLES / "supervisord.conf")


@pytest.fixture(scope="module")
def circus():
    return convert(SAMPLES / "circus.ini")


def test_supervisors_programs_become_jobs(supervisord):
    _, jobs = read(supervisord[0].replace("bind = ", "allow_anonymous = true\nbind = "))
    assert sorted(jobs) == ["beat", "queue", "site.celery-0", "site.celery-1", "site.gunicorn"]
    gunicorn = jobs["site.gunicorn"]
    assert gunicorn.template.expand({}) == [
        *("/usr/bin/env", "http_proxy=http://proxy:3128", "/srv/site/venv/bin/gunicorn", "site.wsgi:application"),
        *("--bind", "127.0.0.1:8000", "--workers", "3", "--access-logformat", '%(h)s "%(r)s"'),
    ]
    assert dict(gunicorn.env) == {
        "LANG": "en_US.UTF-8",
        "TZ": "UTC",
        "DJANGO_SETTINGS_MODULE": "site.settings",
        "SECRET_KEY": "a,b#c%",
    }
    assert (gunicorn.cwd, gunicorn.uid, gunicorn.restart, gunicorn.priority) == ("/srv/site", "www-data", "always", 998)
    assert (gunicorn.graceful_timeout, gunicorn.min_uptime) == (600, 10)
    assert gunicorn.redirect_output == ("out", "out")
    assert (gunicorn.stdout_logfile, gunicorn.logfile_maxbytes) == ("/var/log/site/gunicorn.log", 10 * 1024 * 1024)


def test_supervisors_processes_that_differ_become_jobs_of_their_own(supervisord):
    _, jobs = read(supervisord[0].replace("bind = ", "allow_anonymous = true\nbind = "))
    second = jobs["site.celery-1"]
    assert second.template.expand({"HOME": "/home/x"})[4:] == ["-n", "worker1@%h", "--pidfile=/home/x/celery-01.pid"]
    assert (second.cwd, second.stop_signal, second.exit_codes) == (str(SAMPLES), signal.SIGINT, (0, 2))
    assert (second.restart, second.graceful_timeout) == ("on-failure", 10), "supervisor's defaults"
    assert tuple(second.flapping) == (4, 4, 1, 0)
    assert (jobs["beat"].start, jobs["beat"].restart, jobs["beat"].umask) == (False, "never", 0o22)
    assert (jobs["queue"].stdout_logfile, jobs["queue"].logfile_backups) == ("/var/log/queue_%(index)02d.log", 3)
    assert (jobs["queue"].numprocesses, jobs["queue"].cmd) == (
        8,
        "php /var/www/shop/artisan queue:work --sleep=3 --tries=3",
    )


def test_supervisors_own_settings(supervisord, tmp_path):
    path = tmp_path / "g.ini"
    path.write_text(supervisord[0])
    found = read_settings(str(path), environ={})
    assert found.get("bind") == ("0.0.0.0:9001",)
    assert "[endpoint:supervisor]\nbind = unix:/run/supervisor.sock\nmode = 0700\n" in supervisord[0]
    assert (found.get("log_level"), found.get("daemonize")) == ("info", True)
    assert (found.get("error_log"), found.get("pidfile")) == (
        "/var/log/supervisor/supervisord.log",
        "/run/supervisord.pid",
    )
    assert [problem for problem in found.problems if "other machines can reach" not in problem.message] == []


def test_everything_of_supervisor_that_is_lost_is_told(supervisord):
    assert [note.split(": ")[0] + ": " + note.split(": ")[1] for note in supervisord[1]] == [
        "supervisord.conf:13: [supervisord] logfile_maxbytes",
        "supervisord.conf:17: [supervisord] minfds",
        "supervisord.conf:7: other machines reach 0.0.0.0:9001",
        "supervisord.conf:8: [inet_http_server] username",
        "supervisord.conf:9: [inet_http_server] password",
        "supervisord.conf:21: [rpcinterface:supervisor] is left out",
        "supervisord.conf:24: [supervisorctl] is left out",
        "supervisord.conf:43: [program:celery]",
        "supervisord.conf:58: [program:beat] serverurl",
        "supervisord.conf:63: [group:site] priority",
        "supervisord.conf:65: [eventlistener:crashmail] is left out",
        "supervisord.conf:69: [fcgi-program:php] is left out",
        "conf.d/queue.conf:10: [program:queue] stderr_logfile_backups",
        "conf.d/queue.conf:2: [program:queue] process_name",
        "conf.d/queue.conf:5: [program:queue] stdout_syslog",
        "conf.d/queue.conf:6: [program:queue] numprocs_start",
        "conf.d/queue.conf:9: [program:queue] stderr_logfile",
    ]


def test_what_comes_from_supervisors_environment(monkeypatch):
    for name in ("USER", "COPIES", "TRIES"):
        monkeypatch.delenv(name, raising=False)
    text, notes = convert(SAMPLES / "container.conf")
    assert notes == [
        "container.conf:15: [program:node] numprocs: variables are replaced in commands only; COPIES is not set here",
        "container.conf:13: [program:node] startretries: variables are replaced in commands only; TRIES is not set"
        " here",
        "container.conf:15: [program:node] numprocs: %(ENV_COPIES)s is no number that gaffer takes; it is 1 now",
        "container.conf:13: [program:node] startretries: %(ENV_TRIES)s is no number that gaffer takes; it is 3 now",
        "container.conf:14: [program:node] priority: -5 is no number that gaffer takes; it is 0 now",
        "container.conf:8: [program:node] user: variables are replaced in commands only; USER is not set here",
        "container.conf:19: [program:unfinished] is left out: it has no command",
    ]
    monkeypatch.setenv("PORT", "80")
    monkeypatch.setenv("USER", "jo")
    assert "uid = %(ENV_USER)s\n" in text, "gafferd refuses that; without, it would run as root"
    _, jobs = read(text.replace("uid = %(ENV_USER)s\n", ""))
    assert sorted(jobs) == ["more", "node"]
    assert jobs["node"].template.expand({"PORT": "80", "USER": "jo"}) == [
        *("/usr/bin/env", "WHO=jo", "bash", "-c", "cd /app && exec node 'server.js' --port=80 $EXTRA")
    ]
    assert dict(jobs["node"].env) == {
        "HERE": str(SAMPLES),
        **{"NODE_ENV": "production", "JSON": '{"a": 1}', "EMPTY": ""},
    }
    assert (jobs["node"].graceful_timeout, jobs["node"].min_uptime, jobs["node"].priority) == (20, 0, 0)
    assert tuple(jobs["more"].flapping) == (1, 1, 1, 0)


def test_circus_watchers_become_jobs(circus):
    settings, jobs = read(circus[0])
    assert sorted(jobs) == ["mail-worker", "redis", "webapp"]
    web = jobs["webapp"]
    assert web.template.expand({"RUNDIR": "/run/app", "GAFFER_INDEX": "2"}) == [
        *("/usr/bin/env", "no_proxy=localhost", "/srv/app/bin/chaussette", "--fd", "$(circus.sockets.webapp)"),
        *("app.wsgi", "--backend", "gevent", "--pid", "/run/app/web-2.pid"),
    ]
    assert dict(web.env) == {"RUNDIR": "/run/app", "LANG": "C.UTF-8", "WORKERS": "3"}
    assert (web.numprocesses, web.cwd, web.uid, web.os_env) == (3, "/srv/app", "www-data", True)
    assert (web.stop_signal, web.graceful_timeout, web.priority) == (signal.SIGQUIT, 12.5, 0)
    assert tuple(web.flapping) == (2, 1, 7, 5)
    assert (web.stdout_logfile, web.logfile_maxbytes) == ("/var/log/app 50%%.log", 1024 * 1024)


def test_what_circus_means_without_saying_it(circus):
    _, jobs = read(circus[0])
    mail, redis = jobs["mail-worker"], jobs["redis"]
    assert (mail.shell, mail.cmd) == (True, 'mail-worker > /dev/null; echo "100% $DONE"')
    assert (mail.numprocesses, mail.restart, mail.os_env, mail.priority) == (1, "never", False, 1)
    assert tuple(mail.flapping) == (5, 1, 7, 5)
    assert dict(mail.env) == {"RUNDIR": "/run/app", "LANG": "C.UTF-8"}
    assert (redis.start, redis.os_env) == (False, False)


def test_everything_of_circus_that_is_lost_is_told(circus):
    assert [note.split(": ")[0] + ": " + note.split(": ")[1] for note in circus[1]] == [
        "circus.ini:2: [circus] check_delay",
        "circus.ini:3: [circus] endpoint",
        "circus.ini:4: [circus] pubsub_endpoint",
        "circus.ini:5: [circus] statsd",
        "circus.ini:6: [circus] httpd",
        "circus.ini:7: [circus] httpd_port",
        "circus.ini:14: [watcher:webapp] cmd",
        "circus.ini:15: [watcher:webapp] args",
        "circus.ini:16: [watcher:webapp] use_sockets",
        "circus.ini:21: [watcher:webapp] warmup_delay",
        "circus.ini:22: [watcher:webapp] max_age",
        "circus.ini:29: [watcher:webapp] stderr_stream.class",
        "circus.ini:30: [watcher:webapp] hooks.before_start",
        "circus.ini:31: [watcher:webapp] rlimit_nofile",
        "circus.ini:40: [watcher:mail worker] virtualenv",
        "circus.ini:50: [socket:webapp] is left out",
        "circus.ini:60: [plugin:statsd] is left out",
        "circus.ini:33: [watcher:mail worker] is the job mail-worker",
    ]


def test_what_is_written_passes_the_check(circus, tmp_path):
    (tmp_path / "g.ini").write_text(circus[0].replace("error_log = /var/log/circus.log\n", ""))
    ended = subprocess.run(
        [sys.executable, "-m", "gaffer.daemon.main", "--check", "g.ini"], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0 and "g.ini: no problems" in ended.stdout


@pytest.mark.parametrize("source", ["supervisord", "circus", None])
@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, ": cannot be read: No such file or directory"),
        (b"web: run\n", ":1: expected a [SECTION] before it"),
        (b"[program:x]\ncommand = x\nwhat\n", ":3: expected [SECTION] or KEY = VALUE"),
        (b"[program:x]\ncommand = caf\xe9\n", ":2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    ],
)
def test_files_that_cannot_be_read(source, content, sentence, tmp_path):
    path = tmp_path / "x.conf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        convert(path, source)
    assert str(refused.value) == f"{path}{sentence}"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[process:x]\ncmd = x\n", "this is no configuration of supervisord and none of circus; say by --from"),
        ("[program:x]\ncommand = x\n[watcher:x]\ncmd = x\n", "this could be either; say by --from"),
    ],
)
def test_files_whose_source_cannot_be_told(text, sentence, tmp_path):
    path = tmp_path / "x.conf"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        convert(path)
    assert f"{path}: {sentence}" in str(refused.value)
    assert "[process:x]" in convert(path, "supervisord")[0] or "[process" in text


def test_file_that_includes_itself(tmp_path):
    (tmp_path / "a.conf").write_text("[program:a]\ncommand = a\n[include]\nfiles = *.conf\n")
    (tmp_path / "b.conf").write_text("[program:b]\ncommand = b\n[include]\nfiles = *.conf\n")
    assert [line for line in convert(tmp_path / "a.conf")[0].split("\n") if "[" in line] == [
        "[process:a]",
        "[process:b]",
    ]


def test_command_that_converts(tmp_path, capsys):
    source, made = tmp_path / "s.conf", tmp_path / "g.ini"
    source.write_text("[program:x]\ncommand = sleep 1\nstartsecs = 5\nserverurl = AUTO\n")
    with pytest.raises(SystemExit) as ended:
        run(make_program(), ["convert", str(source)])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.err.split(": ")[:2]) == (0, [f"{source}:4", "[program:x] serverurl"])
    with pytest.raises(SystemExit) as ended:
        run(make_program(), ["convert", "--from", "supervisord", "--out", str(made), str(source)])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{made}: written\n")
    assert made.read_text() == printed.out
    assert made.stat().st_mode & 0o077 == 0, "variables may be secrets"


def test_what_comes_from_circus_environment(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.delenv("USER", raising=False)
    text, notes = convert(SAMPLES / "variables.ini")
    assert notes == [
        "variables.ini:9: [watcher:unfinished] is left out: it has no cmd",
        "variables.ini:14: [watcher:first] priority: none is no number that gaffer takes; it is 0 now",
        "variables.ini:19: [env:program] PATH: variables are replaced in commands only; PATH is replaced by what it is"
        " here and now",
        "variables.ini:5: [watcher:program] uid: variables are replaced in commands only; USER is not set here",
        "variables.ini:6: [watcher:program] max_retry: many is no number that gaffer takes; it is 0 now",
    ]
    _, jobs = read(text.replace("uid = $(circus.env.USER)\n", ""))
    assert sorted(jobs) == ["first", "program"]
    assert (jobs["program"].numprocesses, jobs["program"].priority, jobs["first"].priority) == (3, 1, 0)
    assert jobs["program"].template.expand({"DEBUG": "1"}) == ["python", "-u", "script.py", "1", "two words"]
    assert jobs["program"].env["PATH"] == "/usr/bin:/opt/bin", "without copy_env the job has no other PATH"


def converted(tmp_path, text):
    """Return the jobs that a file becomes, its own settings, and the notes without the file's name."""
    path = tmp_path / "x.conf"
    path.write_text(text)
    made, notes = convert(path)
    settings, jobs = read(made)
    return jobs, settings, [note.removeprefix(f"{path}:") for note in notes]


def test_supervisors_variables_that_name_others(tmp_path):
    """Those of the file have their values; PATH is that of gafferd, and the program is looked for in the new one."""
    jobs, _, notes = converted(
        tmp_path,
        """[supervisord]
environment=VENV="/srv/venv",PATH="/opt/bin:%(ENV_PATH)s"
[program:web]
command=gunicorn --home %(ENV_HOME)s --venv %(ENV_VENV)s --path %(ENV_PATH)s
environment=PATH="%(ENV_VENV)s/bin:%(ENV_PATH)s",LOG="%(ENV_VENV)s/log"
[program:other]
command=other
""",
    )
    env = {"PATH": "/usr/bin", "HOME": "/root", "VENV": "/srv/venv"}
    path = "/srv/venv/bin:/opt/bin:/usr/bin"
    assert jobs["web"].template.expand(env) == [
        *("/usr/bin/env", f"PATH={path}", "LOG=/srv/venv/log", "gunicorn"),
        *("--home", "/root", "--venv", "/srv/venv", "--path", path),
    ]
    assert jobs["other"].template.expand(env) == ["/usr/bin/env", "PATH=/opt/bin:/usr/bin", "other"]
    assert (dict(jobs["other"].env), notes) == ({"VENV": "/srv/venv"}, [])


def test_supervisors_variables_in_names_of_files(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGS", "/var/log/site")
    monkeypatch.delenv("NOPE", raising=False)
    jobs, settings, notes = converted(
        tmp_path,
        """[unix_http_server]
file=%(here)s/s.sock
[supervisord]
logfile=%(here)s/s.log
pidfile=%(ENV_NOPE)s/s.pid
[program:web]
command=web
stdout_logfile=%(ENV_LOGS)s/50%%_%(program_name)s_%(host_node_name)s.log
stderr_logfile=%(ENV_NOPE)s/err.log
""",
    )
    text = Path(tmp_path / "x.conf")
    made = convert(text)[0]
    assert f"bind = unix:{tmp_path}/s.sock\n" in made and f"error_log = {tmp_path}/s.log\n" in made
    assert "pidfile" not in made and "stderr_logfile" not in made
    assert jobs["web"].stdout_logfile == f"/var/log/site/50%%_web_{platform.node()}.log"
    only = "variables are replaced in commands only"
    assert notes == [
        f"5: [supervisord] pidfile: {only}; NOPE is not set here",
        f"8: [program:web] stdout_logfile: {only}; LOGS is replaced by what it is here and now",
        "8: [program:web] stdout_logfile: %(host_node_name)s is replaced by this machine's name",
        f"9: [program:web] stderr_logfile: {only}; NOPE is not set here",
    ]


def test_user_and_directory_of_supervisord_hold_for_programs_without(tmp_path):
    jobs, _, _ = converted(
        tmp_path,
        "[supervisord]\nuser=nobody\ndirectory=/srv\n[program:a]\ncommand=a\n"
        "[program:b]\ncommand=b\nuser=daemon\ndirectory=/tmp\n",
    )
    assert [(jobs[name].uid, jobs[name].cwd) for name in "ab"] == [("nobody", "/srv"), ("daemon", "/tmp")]


def test_access_to_supervisors_socket(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text("[unix_http_server]\nfile=/run/s.sock\nchmod=0770\nchown=jo:staff\n")
    text, notes = convert(path)
    assert notes == []
    assert text == (
        "[gaffer]\nhttp_endpoints = supervisor\n\n"
        "[endpoint:supervisor]\nbind = unix:/run/s.sock\nmode = 0770\nowner = jo\ngroup = staff\n"
    )


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[program:x]\ndirectory=/\ncommand=x 'y", "3: [program:x] is left out: No closing quotation"),
        ("[program:x]\ncommand=x\nenvironment=A='b", "3: [program:x] is left out: environment: No closing quotation"),
        (
            "[program:x]\ncommand=x\nenvironment=A=1 B=2",
            "3: [program:x] is left out: environment: expected KEY=VALUE,KEY=VALUE",
        ),
        ("[watcher:x]\nnumprocesses=2\ncmd=x 'y", "3: [watcher:x] is left out: No closing quotation"),
    ],
)
def test_only_the_job_that_cannot_be_converted_is_left_out(tmp_path, text, sentence):
    key = "command" if "program" in text else "cmd"
    kind = "program" if "program" in text else "watcher"
    jobs, _, notes = converted(tmp_path, f"{text}\n[{kind}:good]\n{key}=good\n")
    assert (sorted(jobs), notes) == (["good"], [sentence])


def test_supervisords_variables_that_cannot_be_read(tmp_path):
    jobs, _, notes = converted(tmp_path, "[supervisord]\nenvironment=A='b\n[program:x]\ncommand=x\n")
    assert (dict(jobs["x"].env), notes) == (
        {},
        ["2: [supervisord] environment: No closing quotation; its variables are left out"],
    )


def test_circus_variables_that_name_others(tmp_path, monkeypatch):
    monkeypatch.setenv("RUN", "/run")
    monkeypatch.delenv("NOPE", raising=False)
    jobs, _, notes = converted(
        tmp_path,
        """[circus]
logoutput = $(circus.env.RUN)/c.log
pidfile = $(circus.env.NOPE)/c.pid
[env]
ROOT = /srv
PATH = $ROOT/bin:${PATH}
[watcher:web]
cmd = web --path $(circus.env.path)
copy_env = True
[watcher:shell]
cmd = echo $(circus.env.PATH) $HOME
shell = True
copy_env = True
""",
    )
    env = {"PATH": "/usr/bin", "ROOT": "/srv"}
    assert jobs["web"].template.expand(env) == [
        "/usr/bin/env",
        "PATH=/srv/bin:/usr/bin",
        "web",
        "--path",
        "/srv/bin:/usr/bin",
    ]
    assert jobs["shell"].template.expand(env)[1:] == ["PATH=/srv/bin:/usr/bin", "/bin/sh", "-c", "echo ${PATH} $HOME"]
    assert dict(jobs["web"].env) == {"ROOT": "/srv"}
    made = convert(tmp_path / "x.conf")[0]
    assert "error_log = /run/c.log\n" in made and "pidfile" not in made
    assert [note.rpartition("; ")[2] for note in notes] == [
        "RUN is replaced by what it is here and now",
        "NOPE is not set here",
    ]


def test_more_retries_than_gaffer_counts_are_no_limit(tmp_path):
    jobs, _, notes = converted(
        tmp_path, "[program:x]\ncommand=x\nstartretries=10000\n[program:y]\ncommand=y\nstartretries=9999\n"
    )
    assert (jobs["x"].flapping, jobs["y"].flapping.attempts) == (None, 10000)
    assert notes == ["1: [program:x] startretries: 10000 are more than gaffer counts; it never gives up"]


def test_variables_in_numbers_and_switches(tmp_path, monkeypatch):
    for name, value in {"COPIES": "3", "START": "false", "LEVEL": "warn", "PORT": "9001"}.items():
        monkeypatch.setenv(name, value)
    text = """[inet_http_server]
port=127.0.0.1:%(ENV_PORT)s
[supervisord]
loglevel=%(ENV_LEVEL)s
[program:x]
command=x
numprocs=%(ENV_COPIES)s
autostart=%(ENV_START)s
"""
    jobs, settings, notes = converted(tmp_path, text)
    assert (jobs["x"].numprocesses, jobs["x"].start, settings.get("log_level")) == (3, False, "warning")
    assert settings.get("bind") == ("127.0.0.1:9001",)
    assert len(notes) == 4 and all("is replaced by what it is here and now" in note for note in notes)
    circus = "[watcher:x]\ncmd = x\nautostart = $(circus.env.START)\nnumprocesses = $(circus.env.COPIES)\n"
    jobs, _, notes = converted(tmp_path, circus)
    assert (jobs["x"].numprocesses, jobs["x"].start, len(notes)) == (3, False, 2)


@pytest.mark.parametrize(
    "text, note",
    [
        ("[include]\nfiles = a/*.conf\n[program:x]\ncommand = x\n", "1: [include]: no file a/*.conf to include"),
        ("[circus]\ninclude = a.ini\n[watcher:x]\ncmd = x\n", "1: [circus]: no file a.ini to include"),
    ],
)
def test_include_that_matches_nothing_is_told(tmp_path, text, note):
    assert converted(tmp_path, text)[2] == [note]


def test_a_section_that_an_included_file_says_again_is_one_section(tmp_path):
    (tmp_path / "more.conf").write_text("[program:web]\ncommand = %(here)s/new\nfoo = 1\n")
    (tmp_path / "circus-more.ini").write_text("[watcher:web]\ncmd = new\n")
    jobs, _, notes = converted(
        tmp_path,
        "[include]\nfiles = more.conf\n[program:web]\ncommand = old\nstartsecs = 3\n[program:last]\ncommand = z\n",
    )
    assert list(jobs) == ["web", "last"]
    assert (jobs["web"].template.expand({}), jobs["web"].min_uptime) == ([f"{tmp_path}/new"], 3)
    assert notes == [f"{tmp_path}/more.conf:3: [program:web] foo: has no counterpart"]
    path = tmp_path / "circus.ini"
    path.write_text("[circus]\ninclude = circus-more.ini\n[watcher:web]\ncmd = old\nuid = 0\n")
    _, jobs = read(convert(path)[0])
    assert (jobs["web"].template.expand({}), jobs["web"].uid) == (["new"], 0)


def test_here_is_the_folder_of_the_file_that_says_it(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("[program:a]\ncommand = %(here)s/a\ndirectory = %(here)s\n")
    jobs, _, _ = converted(tmp_path, "[include]\nfiles = conf.d/*.conf\n[program:b]\ncommand = %(here)s/b\n")
    assert jobs["a"].template.expand({}) == [f"{tmp_path}/conf.d/a"]
    assert jobs["a"].cwd == f"{tmp_path}/conf.d"
    assert jobs["b"].template.expand({}) == [f"{tmp_path}/b"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[program:a b]\ncommand = x\n[program:a-b]\ncommand = y\n", ["a-b", "a-b-2"]),
        (
            "[program:a]\ncommand = x %(process_num)d\nnumprocs = 2\nprocess_name = %(process_num)d\n"
            "[program:a-1]\ncommand = y\n[program:a 1]\ncommand = z\n",
            ["a-0", "a-1", "a-1-2", "a-1-3"],
        ),
    ],
)
def test_names_that_would_be_the_same_stay_apart(tmp_path, text, names):
    jobs, _, notes = converted(tmp_path, text)
    assert list(jobs) == names
    told = [note for note in notes if "the name" in note]
    assert len(told) == sum(name.rpartition("-")[2] in "23" for name in names)


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_files_with_other_line_ends_keep_their_line_numbers(tmp_path, end):
    path = tmp_path / "supervisord.conf"
    lines = ["\x0c; a page", "; \x85 \u2028 in a comment", "[program:web]", "command = a", "foo = 1", ""]
    path.write_text(end.join(lines), "utf-8", newline="")
    text, notes = convert(path)
    assert list(read(text)[1]) == ["web"]
    assert notes == [f"{path}:5: [program:web] foo: has no counterpart"]


def test_the_home_folder_in_names_of_files_is_the_one_of_now(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/jo")
    jobs, settings, notes = converted(
        tmp_path,
        "[supervisord]\nlogfile = ~/s.log\npidfile = ~/s.pid\n[unix_http_server]\nfile = ~/s.sock\n"
        "[program:x]\ncommand = ~/x ~\nstdout_logfile = ~/x%%.log\n",
    )
    assert (settings.get("error_log"), settings.get("pidfile")) == ("/home/jo/s.log", "/home/jo/s.pid")
    assert jobs["x"].template.expand({}) == ["~/x", "~"], "supervisor replaces it in names of files only"
    assert jobs["x"].stdout_logfile == "/home/jo/x%%.log"
    assert notes == [
        f"{line}: {label}: ~ is replaced by what it is here and now"
        for line, label in ((2, "[supervisord] logfile"), (3, "[supervisord] pidfile"), (5, "[unix_http_server] file"))
    ] + ["8: [program:x] stdout_logfile: ~ is replaced by what it is here and now"]


def test_a_name_that_has_to_change_is_told(tmp_path):
    jobs, _, notes = converted(tmp_path, "[group:my site]\nprograms = web app\n[program:web app]\ncommand = x\n")
    assert list(jobs) == ["my-site.web-app"]
    assert notes == ["3: [program:web app] is the job my-site:web-app: gaffer allows no such name"]
    jobs, _, notes = converted(tmp_path, "[watcher:1]\ncmd = x\n")
    assert list(jobs) == ["_1"]
    assert notes == ["1: [watcher:1] is the job _1: gaffer allows no such name"]


def test_variable_that_a_program_changes_is_the_old_one_in_its_other_variables(
    tmp_path,
):
    text = (
        "[program:a]\ncommand = %(ENV_HOME)s/a\n"
        'environment = HOME="/srv/a",LIBRARY="%(ENV_HOME)s/lib",STAGE="two",LOG="%(ENV_STAGE)s"\n'
        '[supervisord]\nenvironment = STAGE="one"\n'
    )
    jobs, _, _ = converted(tmp_path, text)
    job = jobs["a"]
    argv = job.template.expand({"HOME": "/root", **job.env})
    assert argv[0] == "/usr/bin/env"
    assert sorted(argv[1:-1]) == ["HOME=/srv/a", "LIBRARY=/root/lib", "LOG=one", "STAGE=two"]
    assert argv[-1] == "/srv/a/a"


def test_group_that_names_a_program_that_is_not_there_is_told(tmp_path):
    text = "[program:web]\ncommand = x\n[eventlistener:ear]\ncommand = y\n[group:site]\nprograms = web, wbe,ear,\n"
    _, _, notes = converted(tmp_path, text)
    assert [note for note in notes if "programs" in note] == ["6: [group:site] programs: there is no [program:wbe]"]
