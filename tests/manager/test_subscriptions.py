"""Topics of a manager's subscriptions, those of the channel among them."""

from __future__ import annotations

import pytest

from gaffer.errors import BadRequest
from gaffer.testing import settle


@pytest.mark.parametrize(
    "topic", ["EVENTS", "EVENTS:create", "EVENTS:job.shop", "JOB:shop.web", "JOB:shop:web", "job.shop.web", "create"]
)
def test_topics_of_events(gaffer_manager, topic):
    manager = gaffer_manager()
    manager.start()
    heard = []
    manager.subscribe(topic, listener := lambda event, message: heard.append(message["event"].rpartition(".")[2]))
    channel = manager.subscribe(topic)
    manager.load({"name": "shop.web", "cmd": "serve"}, start=False)
    settle(manager)
    assert heard[0] == "create" and channel.get(5)[1]["event"].endswith("create")
    manager.unsubscribe(topic, listener)
    before = len(heard)
    manager.unload("shop.web")
    settle(manager)
    assert len(heard) == before


@pytest.mark.parametrize("topic", ["STATS:web", "STREAM:1.out", "JOB", "PROCESS:"])
def test_topic_that_is_none_of_events_is_refused_with_the_place(gaffer_manager, topic):
    with pytest.raises(BadRequest, match=r"is no topic of events; they are patterns, EVENTS, .* from monitor\(\)"):
        gaffer_manager().subscribe(topic)
