"""An asyncio program: the manager lives in a thread of its own, and its answers are awaited."""

import asyncio

from threaded import Supervisor

import gaffer


class Feed:
    """A plugin that passes events on to an asyncio queue."""

    def __init__(self, loop, queue):
        self.loop, self.queue = loop, queue

    @gaffer.hookimpl
    def gaffer_event(self, event):
        if event["event"] in ("create", "spawn", "stop"):
            self.loop.call_soon_threadsafe(self.queue.put_nowait, event)


async def main():
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()
    supervisor = Supervisor(lambda: gaffer.Manager(plugins=[Feed(loop, queue)]))
    await asyncio.to_thread(supervisor.start)
    manager = supervisor.manager

    async def call(function, *args):
        return await asyncio.wrap_future(supervisor.submit(function, *args))

    await call(manager.load, gaffer.JobConfig("web", "sleep 1000"))
    for _ in range(2):
        event = await queue.get()
        print(event["event"], event["name"], flush=True)
    await call(manager.stop_job, "web")
    event = await queue.get()
    print(event["event"], event["name"], flush=True)
    await asyncio.to_thread(supervisor.stop)


if __name__ == "__main__":
    asyncio.run(main())
