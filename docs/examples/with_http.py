"""A program with gaffer's HTTP API, at an address of its own."""

import gevent

import gaffer
from gaffer.httpclient import Server
from gaffer_plugins.http import HttpPlugin


def ask(uri):
    with Server(uri) as server:
        return server.jobs()


def main():
    http = HttpPlugin(["127.0.0.1:0"])  # port 0: any that is free
    with gaffer.Manager(plugins=[http], builtin=("stats",)) as manager:
        manager.load(gaffer.JobConfig("web", "sleep 1000"))
        while not http.serving:
            gevent.sleep(0.01)
        # This program is not patched, so a client that blocks needs a thread.
        print(gevent.get_hub().threadpool.apply(ask, http.urls), flush=True)


if __name__ == "__main__":
    main()
