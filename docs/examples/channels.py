"""Talks with a process, byte by byte, and with the manager; give gafferd's URL as an argument."""

import sys

from gaffer.api import NotFound
from gaffer.httpclient import Server


def main(uri="http://127.0.0.1:5000"):
    with Server(uri) as server:
        job = server.add_process("parrot", "cat", redirect_input=True, redirect_output=["stdout"], restart="never")
        while not job.pids:
            pass
        process = server.get_process(job.pids[0])
        with process.channel() as channel:
            channel.write(b"every byte: \x00\xff\n")
            print(channel.read(timeout=10))
        with server.channel() as manager:
            manager.subscribe(f"PROCESS:{process.pid}")
            manager.command("send", process.pid, "", eof=True)
            print(manager.receive(timeout=10)["event"].rpartition(".")[2])
            try:
                manager.command("stop_job", "parot")
            except NotFound as error:
                print(error)
        job.unload()


if __name__ == "__main__":
    main(*sys.argv[1:])
