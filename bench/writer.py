"""Writes lines of 100 bytes as a chatty process does: ``writer.py SIZE [RATE]``, in bytes and bytes a second.

It begins when it reads a line, and then says ``done`` on stderr; a SIZE of 0 has no end.
"""

import os
import sys
import time

#: Numbered, so that a reader sees what is missing; 1000 of them, so that a reader knows what comes.
BLOCK = b"".join(b"%099d\n" % number for number in range(1000))


def main(size: int, rate: float) -> None:
    sys.stdin.readline()
    began, written = time.monotonic(), 0
    block = memoryview(BLOCK + BLOCK)
    while not size or written < size:
        begin = written % len(BLOCK)
        end = begin + (min(len(BLOCK), size - written) if size else len(BLOCK))
        written += os.write(1, block[begin:end])
        if rate:
            time.sleep(max(0.0, began + written / rate - time.monotonic()))
    os.write(2, b"done\n")
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
