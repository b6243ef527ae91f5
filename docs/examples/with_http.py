"""A program with gaffer's HTTP API, at an address of its own and with a URL of its own."""

import gevent

import gaffer
from gaffer.http_handler import HttpEndpoint, HttpHandler
from gaffer.httpclient import Server


def hello(request, name):
    """Greet somebody."""
    return {"hello": name}


def ask(uri):
    with Server(uri) as server:
        return server.jobs(), server.transport.request("GET", "/hello/you").text


def main():
    http = HttpHandler([HttpEndpoint("127.0.0.1:0")], handlers=[("/hello/<name>", hello)])  # port 0: any that is free
    with gaffer.Manager(apps=[http]) as manager:
        manager.load(gaffer.JobConfig("web", "sleep 1000"))
        while not http.serving:
            gevent.sleep(0.01)
        # This program is not patched, so a client that blocks needs a thread.
        print(*gevent.get_hub().threadpool.apply(ask, http.urls), flush=True)


if __name__ == "__main__":
    main()
