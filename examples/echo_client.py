#!/usr/bin/env python3
"""Says ECHO to the job echo of gaffer.ini and prints what comes back.

Run it beside "gafferd -c gaffer.ini"; arguments are gafferd's URL and how to talk: websocket, channel or http.
"""

import sys

from gaffer.httpclient import Server


def over_a_websocket(process):
    """Bytes alone: stdin one way, stdout the other."""
    with process.socket() as websocket:
        websocket.send("ECHO\n")
        print("Sent")
        print("Receiving...")
        print("Received", repr(websocket.read().decode()))


def over_a_channel(process):
    """A websocket, too, but each writing is answered, and what would be missing is told."""
    with process.channel() as channel:
        channel.write("ECHO\n")
        print("Sent")
        print("Receiving...")
        print("Received", repr(channel.read().decode()))


def over_http(process):
    """What is written comes back in the logs; nothing but HTTP is needed."""
    with process.logs(n=0, follow=True) as lines:
        process.write("ECHO\n")
        print("Sent")
        print("Receiving...")
        print("Received", repr(next(lines).line))


WAYS = {"websocket": over_a_websocket, "channel": over_a_channel, "http": over_http}


def main(uri="http://127.0.0.1:5000", way="websocket"):
    with Server(uri) as server:
        pid = server.pids("echo")[0]
        WAYS[way](server.get_process(pid))


if __name__ == "__main__":
    main(*sys.argv[1:])
