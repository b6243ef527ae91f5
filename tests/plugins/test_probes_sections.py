"""The long form of probes, and what is wrong with probes in an ini file, with file and line."""

from __future__ import annotations

import pytest

import gaffer
from gaffer.config.options import Options
from gaffer.config.settings import read_settings
from gaffer_plugins import inijobs
from gaffer_plugins.probes import ProbesPlugin


@pytest.fixture
def read(tmp_path):
    """Return a function that reads an ini file: what is wrong, and the jobs if nothing is."""

    def read(text):
        path = tmp_path / "g.ini"
        path.write_text(text)
        plugin = ProbesPlugin()
        manager = gaffer.Manager(plugins=[plugin, inijobs])
        options = Options()
        plugin.gaffer_add_options(options)
        settings = read_settings(str(path), options=options)
        fields = manager.job_fields
        found = manager.hooks.collect("gaffer_check_config", settings=settings, fields=fields, manager=manager)
        problems = [f"{one.line}: {one.message}" for one in (*settings.problems, *sum((x for _, x in found), []))]
        if problems:
            return problems
        answers = manager.hooks.ask("gaffer_load_jobs", settings=settings, fields=fields)
        return {job.job_name.short: job for jobs in answers for job in jobs}

    return read


def test_the_long_form_means_the_settings(read):
    jobs = read(
        "[process:web]\ncmd = serve\nport = 80\n"
        "[probe:web:ready]\nprobe = http://127.0.0.1:$PORT/\ninterval = 2\ntimeout = 3\nsuccesses = 4\nfailures = 5\n"
        "start_timeout = 6\nstatus = 200\nheader = A: b, C: d\n"
        "[probe:shop.db:alive]\nprobe = tcp://db:5432\nfailures = 7\n[job:shop:db]\ncmd = db\n"
    )
    web, db = jobs["web"], jobs["shop.db"]
    assert (web.ready, web.ready_interval, web.ready_check_timeout) == ("http://127.0.0.1:$PORT/", 2.0, 3.0)
    assert (web.ready_successes, web.ready_failures, web.ready_timeout) == (4, 5, 6.0)
    assert (web.ready_status, web.ready_header) == ("200", ("A: b", "C: d"))
    assert (db.alive, db.alive_failures, db.ready) == ("tcp://db:5432", 7, None)


def test_both_forms_may_be_mixed(read):
    jobs = read("[process:web]\ncmd = serve\nready = notify\n[probe:web:ready]\nstart_timeout = 6\n")
    assert (jobs["web"].ready, jobs["web"].ready_timeout) == ("notify", 6.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[probe:wbe:ready]\nprobe = notify", "3: there is no [process:wbe] that this could be the probe of"),
        ("[probe:web:redy]\nprobe = notify", "3: [probe:web:redy] has to end with a job and ready or alive"),
        ("[probe:web]\nprobe = notify", "3: [probe:web] has to end with a job and ready or alive"),
        ("[probe:web:ready]\nprobe = htp://x", "4: ready: 'htp://x' is no probe; did you mean 'http'?"),
        ("[probe:web:ready]\nprobe = notify\ninterval = x", "5: ready_interval: expected a number of seconds"),
        ("[probe:web:ready]\nprobe = notify\nintervl = 1", "5: unknown key 'intervl' in [probe:web:ready]; did you"),
        ("[probe:web:alive]\nprobe = notify\nsuccesses = 1", "5: unknown key 'successes' in [probe:web:alive]"),
        ("[probe:web:alive]\ninterval = 1", "3: probe: required"),
        ("ready = notify\n[probe:web:ready]\nprobe = notify", "5: probe: set already at "),
        ("ready = tcp://127.0.0.1:$PROT", "3: ready: unknown variable $PROT; set it in env"),
        ("[probe:web:ready]\nprobe = exec ./check $PROT", "4: ready: unknown variable $PROT; set it in env"),
        ("ready = http://a/\nready_header = X: $T0", "4: ready_header: unknown variable $T0; set it in env"),
        ("ready = log listening on $", ""),
        ("alive = log x", "3: alive: a line of output says once that a process is ready"),
        ("ready = log (a+)+", "3: ready: log: '(a+)+' repeats what is repeated already"),
        ("ready_status = 2xx", "3: ready_status: expected statuses from 100 to 599"),
    ],
)
def test_what_is_wrong_has_its_line(read, text, said):
    problems = read(f"[process:web]\ncmd = serve\n{text}\n")
    if said:
        (problem,) = problems
        assert problem.startswith(said)
    else:
        assert list(problems) == ["web"]
