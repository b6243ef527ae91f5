"""Asks gafferd's /ping again and again and tells how long the slowest answer took.

Run as a program of its own, so that what the bench does meanwhile delays no answer: ``pinger.py PORT``. It prints one
JSON line for each line on stdin, about the time since the line before: ``{"count", "worst_ms",
"p99_ms", "p50_ms"}``.
"""

import http.client
import json
import select
import socket
import sys
import time

PAUSE = 0.01


def connect(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ping(connection):
    began = time.monotonic()
    connection.request("GET", "/ping")
    response = connection.getresponse()
    response.read()
    assert response.status == 200, response.status
    return (time.monotonic() - began) * 1000


def report(taken):
    if not taken:
        print("null", flush=True)
        return
    taken.sort()
    count = len(taken)
    shown = {"count": count, "worst_ms": taken[-1], "p99_ms": taken[count * 99 // 100], "p50_ms": taken[count // 2]}
    print(json.dumps(shown), flush=True)


def main(port):
    connection = connect(port)
    taken = []
    while True:
        taken.append(ping(connection))
        if select.select([sys.stdin], [], [], PAUSE)[0]:
            if not sys.stdin.readline():
                return
            report(taken)
            taken = []


if __name__ == "__main__":
    main(int(sys.argv[1]))
