"""Runs an operation on the nodes of a job, and watches what changes. Give it the URLs of your lookupds."""

import sys

from gaffer.httpclient import Cluster

with Cluster(sys.argv[1:] or ["http://127.0.0.1:5010"]) as cluster:
    for node, pids in cluster.find_job("web").items():
        print(node.name, node.labels.get("zone"), len(pids))
    for result in cluster.run(lambda server: server.get_job("web").scale("+1"), on="zone=a", job="web"):
        print(result.node, result.error or f"now wants {result.value}")
    with cluster.lookups[0].watch() as events:
        # Another process of web was asked for just now, or will have been started already.
        cluster.run(lambda server: server.get_job("web").scale("-1"), on="zone=a", job="web")
        print("removed:", next(event for event in events if event["event"] == "remove_process")["name"])
