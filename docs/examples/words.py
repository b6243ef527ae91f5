"""Gets the output of processes as it is read, and counts words."""

import collections

import gevent

import gaffer


class Sink:
    """Takes the output of one stream. It must not block: what takes time belongs into a queue."""

    def __init__(self, counter, name):
        self.counter, self.name = counter, name

    def write(self, data):
        self.counter[self.name] += len(data.split())

    def close(self):
        pass


class Words:
    """A plugin need not be a ``gaffer.Plugin``: any object with hooks will do."""

    def __init__(self):
        self.counter = collections.Counter()

    @gaffer.hookimpl
    def gaffer_open_sinks(self, job, process, label):
        return Sink(self.counter, f"{job.name}.{label}")

    @gaffer.hookimpl
    def gaffer_health(self, manager):
        return {"words": dict(self.counter)}


def main():
    words = Words()
    with gaffer.Manager(plugins=[words]) as manager:
        manager.load(gaffer.JobConfig("talker", "sh -c 'echo three little words; sleep 1000'"))
        with gevent.Timeout(20):
            while not words.counter["talker.stdout"]:
                gevent.sleep(0.01)
        print(manager.health()["plugins"]["Words"], flush=True)


if __name__ == "__main__":
    main()
