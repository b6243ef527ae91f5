"""A gevent program that runs jobs of its own. Nothing is monkey-patched."""

import gevent

import gaffer


class Report:
    """A plugin: any object with hook methods."""

    @gaffer.hookimpl
    def gaffer_spawned(self, job, process):
        print(f"{job.name}: started", flush=True)

    @gaffer.hookimpl
    def gaffer_exited(self, job, process, status):
        print(f"{job.name}: ended with {status}", flush=True)


def main():
    manager = gaffer.Manager(plugins=[Report()])
    manager.load(gaffer.JobConfig("sleeper", "sleep 1000", numprocesses=2))
    with manager:  # start() here, stop() at the end of the block
        print("scaled to", manager.scale("sleeper", "+1"), flush=True)
        while manager.info("sleeper")["running"] < 3:
            gevent.sleep(0.01)
        manager.stop_job("sleeper")


if __name__ == "__main__":
    main()
