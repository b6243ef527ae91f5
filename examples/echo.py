#!/usr/bin/env python3
"""Writes every line of its input to its output; ends with its input."""

import sys

for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
