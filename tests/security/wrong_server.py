"""A program of another account that answers every request as gafferd would, and writes down what it gets.

Run as ``python -m tests.security.wrong_server FILE [PATH]``; prints the URL as soon as it listens.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from tests.kit.stranger import become_stranger

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
FOUND = json.dumps({"jobs": [], "id": "k1", "api_key": "n" * 64, "expires": None, "user": "me", "permissions": {}})


def main(heard: str, path: str = "") -> None:
    writer = os.open(heard, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    # A TCP socket belongs to the account that made it, a unix socket to the one that listens: the folder is root's.
    if path:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        os.chmod(path, 0o666)
        become_stranger()
    else:
        become_stranger()
        sock = socket.create_server(("127.0.0.1", 0))
    sock.listen()
    print(f"unix:{path}" if path else f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    while True:
        with sock.accept()[0] as connection:
            data = connection.recv(65536)
            if data:
                os.write(writer, data)
                connection.sendall(ANSWER % (len(FOUND), FOUND.encode()))


if __name__ == "__main__":
    main(*sys.argv[1:])
