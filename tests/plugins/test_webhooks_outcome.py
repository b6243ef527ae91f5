"""Webhooks: what an answer means, how long to wait, and signatures. All of it is pure."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from gaffer_plugins.webhooks.config import check_tuning
from gaffer_plugins.webhooks.retry import ReceiverAnswer, Verdict, backoff, judge, seconds_of
from gaffer_plugins.webhooks.signing import make_key, sign

NOW = 1_800_000_000.0
TUNING = check_tuning({})


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success(status):
    assert judge(ReceiverAnswer(status), NOW) == Verdict()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_worth_another_attempt(status):
    assert judge(ReceiverAnswer(status), NOW) == Verdict(f"answered {status}", again=True)
    assert judge(ReceiverAnswer(status, "7"), NOW).asked == 7.0


@pytest.mark.parametrize("status", [199, 304, 400, 401, 404, 408, 410, 499])
def test_final(status):
    verdict = judge(ReceiverAnswer(status, "7"), NOW)
    assert verdict.reason.startswith(f"answered {status}")
    assert not verdict.again


def test_a_redirection_is_told_without_its_secrets():
    assert judge(ReceiverAnswer(301, "", "https://u:p@h/x?t=1"), NOW).reason == (
        "answered 301, a redirection to https://***@h/x?***; give the final URL"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("0", 0),
        (" 120 ", 120),
        ("9" * 50, 999_999_999),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("²", 0),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("Wed, 99 Foo 99999 00:00:00 GMT", 0),
    ],
)
def test_retry_after(text, seconds):
    assert seconds_of(text, NOW) == seconds


def test_backoff_doubles_up_to_the_cap():
    assert [backoff(attempts, 0, TUNING, 1.0) for attempts in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(100, 0, TUNING, 1.0) == 60


def test_chance_takes_up_to_half():
    assert backoff(3, 0, TUNING, 0.0) == 2
    assert backoff(3, 0, TUNING, 0.5) == 3


def test_what_the_receiver_asks_for_counts_within_the_cap():
    assert backoff(1, 30, TUNING, 1.0) == 30
    assert backoff(1, 3600, TUNING, 1.0) == 60
    assert backoff(6, 5, TUNING, 1.0) == 32


def test_the_signature_is_that_of_standard_webhooks():
    """Id, time, secret and result of the test that the specification's own libraries share."""
    key = make_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_everything_is_signed():
    key = b"0123456789abcdef"
    signatures = {sign(*given) for given in [(key, "a", 1, b"x"), (key, "b", 1, b"x"), (key, "a", 2, b"x")]}
    assert len(signatures | {sign(key, "a", 1, b"y"), sign(key[::-1], "a", 1, b"x")}) == 5
