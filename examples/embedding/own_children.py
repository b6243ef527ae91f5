"""A gevent program that starts children itself, beside those of gaffer.

gevent.subprocess watches children through the loop, and the loop then collects every exit status there is.
``reaper="loop"`` makes gaffer ask the loop too, so both learn how their children ended.
"""

import gevent
from gevent import subprocess

import gaffer


class Statuses:
    """A plugin that writes down how processes ended."""

    def __init__(self):
        self.seen = []

    @gaffer.hookimpl
    def gaffer_exited(self, job, status):
        self.seen.append(str(status))


def main():
    statuses = Statuses()
    manager = gaffer.Manager(plugins=[statuses], reaper="loop")
    with manager:
        ours = [subprocess.Popen(["sh", "-c", f"exit {code}"]) for code in (1, 2, 3)]
        manager.load(gaffer.JobConfig("job", "sh -c 'exit 7'", restart="never"))
        print("the program's own children:", [child.wait() for child in ours], flush=True)
        with gevent.Timeout(20):
            while not statuses.seen:
                gevent.sleep(0.01)
    print("gaffer's:", statuses.seen, flush=True)


if __name__ == "__main__":
    main()
