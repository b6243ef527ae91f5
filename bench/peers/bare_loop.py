"""The least that supervises: native Popen, a pidfd per child, start again what died. No names, no policy, no API.

Run as a program: ``bare_loop.py COUNT CHILD STAMPS``, and then on stdin one letter a command: up, down, quit.
"""

import os
import select
import subprocess
import sys


class BareLoop:
    def __init__(self, count, command):
        self.count = count
        self.command = command
        self.wanted = False
        self.children = {}
        self.poll = select.epoll()

    def spawn(self):
        child = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        pidfd = os.pidfd_open(child.pid)
        self.children[pidfd] = child
        self.poll.register(pidfd, select.EPOLLIN)

    def exited(self, pidfd):
        self.poll.unregister(pidfd)
        os.close(pidfd)
        self.children.pop(pidfd).wait()
        if self.wanted:
            self.spawn()
        elif not self.children:
            print("down", flush=True)

    def up(self):
        self.wanted = True
        for _ in range(self.count):
            self.spawn()

    def down(self):
        self.wanted = False
        for child in self.children.values():
            child.terminate()

    def run(self, commands):
        self.poll.register(commands, select.EPOLLIN)
        print("ready", flush=True)
        while True:
            for fd, _ in self.poll.poll():
                if fd != commands:
                    self.exited(fd)
                    continue
                letter = os.read(commands, 1)
                if letter == b"u":
                    self.up()
                else:
                    self.down()
                    if letter in (b"q", b""):
                        return


if __name__ == "__main__":
    count, *command = sys.argv[1:]
    BareLoop(int(count), command).run(0)
