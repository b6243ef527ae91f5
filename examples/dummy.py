#!/usr/bin/env python3
"""Counts on both outputs, a line a second, until it is told to stop."""

import itertools
import signal
import sys
import time


def stop(signum, frame):
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)

for count in itertools.count(1):
    print("STDOUT", count, flush=True)
    print("STDERR", count, file=sys.stderr, flush=True)
    time.sleep(1)
