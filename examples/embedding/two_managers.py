"""Two managers in one program, each with plugins of its own: neither knows of the other."""

import gevent

import gaffer


class Limit:
    """A plugin that allows no job more than so many processes."""

    def __init__(self, most):
        self.most = most

    @gaffer.hookimpl
    def gaffer_before_scale(self, job, count):
        if count > self.most:
            raise gaffer.Veto(f"at most {self.most} processes")


def main():
    strict = gaffer.Manager(plugins=[Limit(2)])
    free = gaffer.Manager(builtin=("stats",))
    with strict, free:
        for manager in (strict, free):
            manager.load(gaffer.JobConfig("web", "sleep 1000"))
        print("free:", free.scale("web", "=4"), flush=True)
        try:
            strict.scale("web", "=4")
        except gaffer.Veto as error:
            print("strict:", error, flush=True)
        while not free.info("web")["running"]:  # processes are started a moment later
            gevent.sleep(0.01)
        print("measured:", len(free.stats("web")["stats"]) > 0, flush=True)


if __name__ == "__main__":
    main()
