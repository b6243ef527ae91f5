"""A program with ordinary threads: gevent and the manager live in a thread of their own.

Methods of the manager may be called from any thread. ``submit`` does not wait: it returns a Future. If nothing stops
the manager, it stops, with all processes, when the program ends.
"""

import gaffer


def main():
    manager = gaffer.ThreadedManager()
    manager.start()
    manager.load(gaffer.JobConfig("web", "sleep 1000", numprocesses=2))
    print("jobs:", manager.jobs(), flush=True)
    print("scaled to", manager.submit("scale", "web", 1).result(), flush=True)
    try:
        manager.info("nothing")
    except gaffer.errors.NotFound as error:
        print("refused:", error, flush=True)
    manager.stop()
    print("stopped:", manager.state, flush=True)


if __name__ == "__main__":
    main()
