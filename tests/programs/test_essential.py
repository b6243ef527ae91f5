"""gafferd ends with the exit code of an essential job."""

from tests.kit.gafferd import Gafferd

JOBS = """
[process:side]
cmd = sleep 1000

[process:main]
cmd = sh -c 'sleep 0.5; exit 7'
restart = never
essential = true
"""


def test_gafferd_ends_with_the_code_of_the_essential_job(tmp_path):
    with Gafferd(tmp_path, JOBS).start() as gafferd:
        assert gafferd.wait() == 7
        gafferd.logged("job main is essential and has ended with code 7: everything is stopped")
