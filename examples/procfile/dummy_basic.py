"""Says a few times that it is alive, a second apart, and ends."""

import os
import time

for _ in range(int(os.environ.get("HELLOS", "3"))):
    print(f"hello, dummy (pid: {os.getpid()}) is alive")
    time.sleep(1)
