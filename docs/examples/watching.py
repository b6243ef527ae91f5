"""Hears what a process says, talks to it, and watches what it uses."""

import gevent

import gaffer


def main():
    heard, measured = [], []
    with gaffer.Manager(builtin=("stats",)) as manager:
        manager.load(gaffer.JobConfig("echo", "cat", redirect_output=["out"], redirect_input=True))
        while not manager.pids("echo"):
            gevent.sleep(0.01)
        (process,) = manager.list("echo")
        process.monitor_io("out", lambda label, message: heard.append(message["data"]))
        manager.monitor("echo", lambda event, statistics: measured.append(statistics["mem_info1"]))
        process.write("hello\n")
        with gevent.Timeout(20):
            while not (heard and measured):
                gevent.sleep(0.01)
        print(heard[0], "from a process that has memory:", measured[0] > 0, flush=True)


if __name__ == "__main__":
    main()
