"""Brings a kind of probe: ``file PATH`` succeeds when the file was written in the last minute."""

import os
import tempfile
import time

import gevent

import gaffer


class FileProbe:
    @gaffer.hookimpl
    def gaffer_probe_kinds(self):
        return {"file": self.check}

    def check(self, path, process, env):
        age = time.time() - os.stat(path).st_mtime  # an exception is a failure, with its text
        if age > 60:
            raise gaffer.GafferError(f"written {age:.0f} s ago")
        return f"written {age:.0f} s ago"


def main():
    with tempfile.TemporaryDirectory() as folder, gaffer.Manager(plugins=[FileProbe()], builtin=["probes"]) as manager:
        beat = os.path.join(folder, "beat")
        job = {"name": "worker", "cmd": f"sh -c 'touch {beat}; sleep 1000'", "ready": f"file {beat}"}
        manager.load(job)
        with gevent.Timeout(20):
            while not manager.info("worker")["ready"]:
                gevent.sleep(0.01)
        (answers,) = manager.info("worker")["plugins"]["probes"]["processes"]
        print(answers["ready"]["message"], flush=True)


if __name__ == "__main__":
    main()
