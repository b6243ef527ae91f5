"""Listens to the events of one job."""

import gaffer


def heard(event, message):
    print(event, "of", message["name"], flush=True)


def main():
    manager = gaffer.Manager()
    manager.subscribe("job.default.hello", heard)
    with manager:
        manager.load(gaffer.JobConfig("hello", "sleep 1000"))
        manager.load(gaffer.JobConfig("other", "sleep 1000"))


if __name__ == "__main__":
    main()
