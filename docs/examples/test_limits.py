import pytest
from plugins.limits import Limits

import gaffer


def test_nobody_gets_more_than_the_limit():
    with gaffer.Manager(plugins=[Limits()]) as manager:
        manager.load(gaffer.JobConfig("web", "sleep 1000"))
        assert manager.scale("web", "=10") == 10
        with pytest.raises(gaffer.Veto, match="may have up to 10 processes"):
            manager.scale("web", "+1")
        assert manager.info("web")["max_processes"] == 10


def test_everybody_gets_a_time_zone():
    with gaffer.Manager(plugins=[Limits()]) as manager:
        manager.load(gaffer.JobConfig("web", "sleep 1000"))
        assert manager.get("web").env["TZ"] == "UTC"
