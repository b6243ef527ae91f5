"""Says that it is alive, and waits until it is told to stop."""

import os
import signal

print(f"hello, dummy (pid: {os.getpid()}) is alive", flush=True)
signal.pause()
