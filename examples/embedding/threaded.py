"""A program with ordinary threads: gevent and the manager live in a thread of their own.

Other threads hand functions over with ``manager.later`` and wait for the result in their own way.
"""

import threading
from concurrent.futures import Future

import gaffer


class Supervisor:
    """A manager in its own thread.

    :param make: called in that thread; returns the manager.
    """

    def __init__(self, make):
        self._make = make
        self._ready = Future()
        self._thread = threading.Thread(target=self._run, name="gaffer")

    def _run(self):
        try:
            # Made here, since a manager belongs to the thread that makes it.
            manager = self._make()
            manager.start()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._ready.set_result(manager)
        manager.run()

    def start(self):
        self._thread.start()
        self.manager = self._ready.result()

    def stop(self):
        self.manager.stop()  # may be called from any thread
        self._thread.join()

    def submit(self, function, *args):
        """Call *function* in the manager's thread; return a Future of its result."""
        future = Future()

        def run():
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        self.manager.later(run)
        return future


def main():
    supervisor = Supervisor(gaffer.Manager)
    supervisor.start()
    manager = supervisor.manager
    supervisor.submit(manager.load, gaffer.JobConfig("web", "sleep 1000", numprocesses=2)).result()
    print("jobs:", supervisor.submit(manager.jobs).result(), flush=True)
    print("scaled to", supervisor.submit(manager.scale, "web", 1).result(), flush=True)
    try:
        supervisor.submit(manager.info, "nothing").result()
    except gaffer.errors.NotFound as error:
        print("refused:", error, flush=True)
    supervisor.stop()
    print("stopped:", manager.state, flush=True)


if __name__ == "__main__":
    main()
