"""Ports of jobs, and jobs that would get the same ones."""

from __future__ import annotations

import pytest

from gaffer.config.job_ports import claim_ports, conflict_with, conflicts_among
from gaffer.config.names import parse_job_name


def claim(name, port, number=1):
    return claim_ports(parse_job_name(name), port, number)


@pytest.mark.parametrize(
    "other, port",
    [
        (("a.web", 5100), 5100),
        (("a.web", 5099, 2), 5100),
        (("a.web", 5102, 5), 5102),
        (("a.web", 5103), None),
        (("a.web", 5098, 2), None),
        (("a.web", 5100, 0), None),
        (("a.web", None), None),
    ],
)
def test_conflict_names_the_first_port_that_two_jobs_share(other, port):
    found = conflict_with(claim("b.web", 5100, 3), [claim(*other)])
    assert (found and found.port) == port


def test_message_names_the_job_that_has_the_port_and_the_remedy():
    found = conflict_with(claim("b.web", 5100), [claim("a.web", 5100)])
    assert str(found) == (
        "port 5100 of b.web is that of a.web; choose others with --port N, or port = N in the configuration; "
        "or use --no-port"
    )


def test_every_job_with_a_port_of_another_one_is_found():
    claims = [claim("c.x", 5105), claim("a.web", 5100, 10), claim("b.web", 5101), None, claim("d.x", 5110)]
    assert [(one.port, one.name.full, one.holder.full) for one in conflicts_among(claims)] == [
        (5101, "b.web", "a.web"),
        (5105, "c.x", "a.web"),
    ]


def test_job_with_a_port_in_its_environment_claims_none():
    assert claim_ports(parse_job_name("a.b"), 5000, 2, {"PORT": "80"}) is None
