"""Exit statuses of gafferd when what reads their output has gone."""

from __future__ import annotations

import subprocess

import pytest

from tests.kit.gafferd import COMMAND, PATIENCE, environment


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("word", ["--plugins", "--check"])
def test_output_that_no_program_reads_ends_quietly(word, unbuffered, tmp_path):
    (tmp_path / "g.ini").write_text("")
    ended = subprocess.Popen(
        [*COMMAND, word, "g.ini"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONUNBUFFERED=unbuffered),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ended.stdout.close()
    with ended.stderr:
        assert (ended.stderr.read(), ended.wait(PATIENCE)) == ("", 141)


def test_an_unexpected_error_of_a_connection_is_still_told(capsys):
    from gaffer.service.exit_codes import status_of

    def fail() -> int:
        raise BrokenPipeError(32, "of a socket")

    assert status_of("gafferd", fail) == 1
    assert "unexpected BrokenPipeError" in capsys.readouterr().err
