class DummyApp:
    """An application: start, stop and restart, each of them optional."""

    def start(self, loop, manager):
        print("start dummy app", flush=True)

    def stop(self):
        print("stop dummy", flush=True)

    def restart(self):
        print("restart dummy", flush=True)
