"""Follows what happens and what a job says; give gafferd's URL as an argument."""

import sys

from gaffer.httpclient import Quiet, Server


def main(uri="http://127.0.0.1:5000"):
    with Server(uri) as server:
        with server.events("proc.talker", timeout=10) as events:
            job = server.add_process("talker", "sh -c 'echo good morning; exec sleep 1000'", redirect_output=["stdout"])
            for event in events:
                print(event["event"], "of", event["name"])
                if event["event"] == "proc.talker.spawn":
                    break
        with job.logs(follow=True, timeout=10) as lines:
            print(next(lines).line)
            try:
                lines.take(timeout=0.1)
            except Quiet:
                print("nothing more for now")
        with job.follow_stats(interval=0.1) as stats:
            for figures in stats:
                print("uses memory:", figures["stats"][0]["mem_info1"] > 0)
                break
        job.unload()


if __name__ == "__main__":
    main(*sys.argv[1:])
