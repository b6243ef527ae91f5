"""Writes so many lines of 100 bytes a second, each by itself: ``line_writer.py RATE``."""

import os
import sys
import time


def main(rate):
    line, began, count = b"x" * 99 + b"\n", time.monotonic(), 0
    while True:
        os.write(1, line)
        count += 1
        left = began + count / rate - time.monotonic()
        if left > 0:
            time.sleep(left)


if __name__ == "__main__":
    main(float(sys.argv[1]))
