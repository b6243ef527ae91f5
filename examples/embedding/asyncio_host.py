"""An asyncio program: the manager lives in a thread of its own, and its answers are awaited."""

import asyncio

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
    queue = asyncio.Queue()
    async with gaffer.ThreadedManager(plugins=[Feed(asyncio.get_running_loop(), queue)]) as manager:
        await asyncio.wrap_future(manager.submit("load", gaffer.JobConfig("web", "sleep 1000")))
        for _ in range(2):
            event = await queue.get()
            print(event["event"], event["name"], flush=True)
        await asyncio.wrap_future(manager.submit("stop_job", "web"))
        event = await queue.get()
        print(event["event"], event["name"], flush=True)


if __name__ == "__main__":
    asyncio.run(main())
