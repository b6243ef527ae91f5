"""Readers of one feed that read whatever comes: ``feed_readers.py PORT PATH COUNT``.

One program that has all of them, so that reading costs gafferd nothing but another core. It prints ``ready`` when all
answers have begun, and for each line on stdin one line of JSON, about the time since the line before: ``{"bytes",
"slowest"}``, of all readers together and of the one that got least.
"""

import json
import select
import socket
import sys

_RECEIVE = 1 << 18
_HEAD = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(port, path):
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(_HEAD.format(path).encode())
    assert sock.recv(_RECEIVE).startswith(b"HTTP/1.1 200 "), "the feed was refused"
    sock.setblocking(False)
    return sock


def main(port, path, count):
    readers = {}
    poll = select.epoll()
    for _ in range(count):
        sock = connect(port, path)
        readers[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)
    got = dict.fromkeys(readers, 0)
    poll.register(0, select.EPOLLIN)
    print("ready", flush=True)
    buffer = bytearray(_RECEIVE)
    while True:
        for fd, _ in poll.poll():
            if fd:
                size = readers[fd].recv_into(buffer)
                assert size, "a feed has ended"
                got[fd] += size
            elif not sys.stdin.readline():
                return
            else:
                print(json.dumps({"bytes": sum(got.values()), "slowest": min(got.values())}), flush=True)
                got = dict.fromkeys(readers, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
