"""Listens to the events of one job."""

import gevent

import gaffer


def heard(event, message):
    print(event, "of", message["name"], flush=True)


def main():
    manager = gaffer.Manager()
    manager.subscribe("job.default.hello", heard)
    with manager:
        manager.load(gaffer.JobConfig("hello", "sleep 1000"))
        manager.load(gaffer.JobConfig("other", "sleep 1000"))
        while not manager.info("hello")["running"]:
            gevent.sleep(0.01)


if __name__ == "__main__":
    main()
