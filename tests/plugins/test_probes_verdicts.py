"""What answers to a probe mean, and what probes, statuses and headers may be written."""

from __future__ import annotations

import pytest

from gaffer_plugins.probes.kinds import Headers, ProbeText, Statuses
from gaffer_plugins.probes.syntax import Probe, ProbeAddress, expand, http_address, ranges, read_probe, tcp_address
from gaffer_plugins.probes.verdicts import AliveVerdict, Limits, ReadinessChange, ReadyVerdict

LIMITS = Limits(start=60.0, interval=1.0, timeout=5.0, successes=2, failures=3)


# -- ready ----------------------------------------------------------------------------------------


def test_enough_successes_in_a_row_make_a_process_ready():
    verdict = ReadyVerdict("tcp", 0.0)
    answers = [verdict.take(ok, "refused", 1.0, LIMITS) for ok in (True, False, True, True, True)]
    assert answers == [None, ReadinessChange(False, "tcp: refused"), None, ReadinessChange(True, ""), None]
    assert verdict.ready


def test_enough_failures_in_a_row_make_it_unready_again():
    verdict = ReadyVerdict("tcp", 0.0)
    verdict.take(True, "", 1.0, LIMITS._replace(successes=1))
    answers = [verdict.take(ok, "refused", 99.0, LIMITS) for ok in (False, False, True, False, False, False)]
    assert answers == [None] * 5 + [ReadinessChange(False, "tcp: refused")]
    assert [verdict.take(True, "", 100.0, LIMITS) for _ in range(2)] == [None, ReadinessChange(True, "")]


def test_the_reason_is_told_when_it_changes_only():
    verdict = ReadyVerdict("tcp", 0.0)
    answers = [verdict.take(False, message, 1.0, LIMITS) for message in ("refused", "refused", "no route")]
    assert answers == [ReadinessChange(False, "tcp: refused"), None, ReadinessChange(False, "tcp: no route")]


def test_a_start_that_takes_too_long_says_so():
    verdict = ReadyVerdict("tcp", 10.0)
    assert verdict.take(False, "refused", 69.0, LIMITS) == ReadinessChange(False, "tcp: refused")
    assert verdict.take(False, "refused", 70.0, LIMITS) == ReadinessChange(False, "not ready after 60 s: tcp: refused")
    assert verdict.take(False, "refused", 80.0, LIMITS) is None
    assert verdict.take(True, "", 90.0, LIMITS._replace(successes=1)) == ReadinessChange(True, "")


def test_a_start_is_asked_often_at_first():
    verdict = ReadyVerdict("tcp", 0.0)
    assert [verdict.pause(LIMITS) for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert verdict.pause(LIMITS._replace(interval=0.1)) == 0.1


def test_a_process_that_was_ready_is_asked_at_the_interval():
    verdict = ReadyVerdict("tcp", 0.0)
    verdict.take(True, "", 1.0, LIMITS._replace(successes=1))
    assert verdict.pause(LIMITS) == 1.0
    verdict.take(False, "refused", 1.0, LIMITS._replace(failures=1))
    assert verdict.pause(LIMITS) == 1.0


# -- alive ----------------------------------------------------------------------------------------


def test_enough_failures_in_a_row_restart_a_process():
    verdict = AliveVerdict("tcp", 0.0, started=True)
    answers = [verdict.take(ok, "refused", 1.0, LIMITS) for ok in (False, False, True, False, False, False)]
    assert answers == [None] * 5 + ["its alive probe failed 3 times: tcp: refused"]


def test_failures_of_a_start_do_not_count():
    verdict = AliveVerdict("tcp", 0.0, started=False)
    limits = LIMITS._replace(failures=1)
    assert verdict.take(False, "refused", 59.0, limits) is None
    assert verdict.take(False, "refused", 60.0, limits) == "its alive probe failed once: tcp: refused"


def test_after_the_first_success_a_start_is_over():
    verdict = AliveVerdict("tcp", 0.0, started=False)
    verdict.take(True, "", 1.0, LIMITS)
    assert verdict.take(False, "refused", 2.0, LIMITS._replace(failures=1))


# -- what can be written ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("http://127.0.0.1:$PORT/healthz?a=b", Probe("http", "http://127.0.0.1:$PORT/healthz?a=b")),
        ("https://[::1]:8443", Probe("https", "https://[::1]:8443")),
        ("http://$HOST:80${N}/", Probe("http", "http://$HOST:80${N}/")),
        ("tcp://localhost:$PORT", Probe("tcp", "tcp://localhost:$PORT")),
        ("unix:run/app.sock", Probe("unix", "run/app.sock")),
        ("exec ./check --quick '$PORT'", Probe("exec", "./check --quick '$PORT'")),
        (r"log listening on \S+:[0-9]+$", Probe("log", r"listening on \S+:[0-9]+$")),
        ("notify", Probe("notify", "")),
        ("redis localhost:$PORT", Probe("redis", "localhost:$PORT")),
        ("redis:ping", Probe("redis", "ping")),
        ("redis", Probe("redis", "")),
    ],
)
def test_probes_that_can_be_written(text, probe):
    assert read_probe(text, lambda: ["redis"]) == probe
    assert ProbeText(lambda: ["redis"], {}).check(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("htp://127.0.0.1/", "'htp://127.0.0.1/' is no probe; did you mean 'http'?"),
        ("Notify", "'Notify' is no probe; did you mean 'notify'?"),
        ("redsi ping", "'redsi ping' is no probe; did you mean 'redis'?"),
        ("/healthz", "'/healthz' is no probe; there are http://, https, tcp, unix, exec, log, notify"),
        ("http:/127.0.0.1", "expected http://HOST:PORT/PATH"),
        ("http://127.0.0.1:70000/", "expected http://HOST:PORT/PATH"),
        ("http://127.0.0.1:" + 99 * "1" + "x", "expected http://HOST:PORT/PATH"),
        ("http://127.0.0.1:0/", "expected http://HOST:PORT/PATH"),
        ("http://127.0.0.1/a b", "expected http://HOST:PORT/PATH"),
        ("http://me:secret@127.0.0.1/", "write an Authorization header"),
        ("tcp://127.0.0.1", "expected tcp://HOST:PORT"),
        ("tcp://127.0.0.1:x", "expected tcp://HOST:PORT"),
        ("unix:", "expected unix:PATH"),
        ("unix:/" + "x" * 107, "expected unix:PATH"),
        ("exec", "expected exec COMMAND"),
        ("exec 'a", "exec: a single quote is never closed"),
        ("log", "expected log REGEX"),
        ("log a(", "log: 'a(' is no regular expression: missing )"),
        ("log (a+)+b", "repeats what is repeated already"),
        ("log (?:x|a*b)*", "repeats what is repeated already"),
        ("notify x", "notify stands alone"),
        ("http://a/\nx", "printable"),
        ("log " + "x" * 5000, "printable"),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence(text, said):
    with pytest.raises(ValueError) as error:
        ProbeText(lambda: ["redis"], {}).check(text)
    assert said in str(error.value)


def test_log_says_nothing_of_a_process_that_hangs():
    with pytest.raises(ValueError, match="no more"):
        ProbeText(tuple, {"log": "no more"}).check("log ready")


@pytest.mark.parametrize("text", ["", "20", "200-", "600", "399-200", "200;300", "200,", " 200", "200-299-300"])
def test_statuses_that_are_none(text):
    with pytest.raises(ValueError, match="expected statuses from 100 to 599"):
        Statuses().check(text)


def test_statuses():
    assert ranges(Statuses().check("200-299, 401")) == [(200, 299), (401, 401)]


@pytest.mark.parametrize("header", ["X", "X Y: z", "X: a\r\nY: b", "X: \xe4", "Connection: close", ": x"])
def test_headers_that_are_none(header):
    with pytest.raises(ValueError):
        Headers().check([header])


def test_variables_are_replaced():
    env = {"PORT": "80", "TOKEN": "a"}
    assert expand("$PORT${TOKEN}$$PORT", env) == "80a$PORT"
    with pytest.raises(ValueError, match=r"unknown variable \$PROT; set it in env"):
        expand("x$PROT", env)


@pytest.mark.parametrize("text", ["http://a:x/", "http://a:0/", "http://a:99999/", "http://a b/", "http://$A/"])
def test_a_variable_whose_value_does_not_fit(text):
    with pytest.raises(ValueError):
        http_address(text)


def test_addresses():
    assert http_address("http://[::1]/x?y=z") == ProbeAddress("::1", 80, "/x?y=z")
    assert http_address("https://a?y") == ProbeAddress("a", 443, "/?y")
    assert tcp_address("tcp://localhost:5432") == ProbeAddress("localhost", 5432)
