"""Controls a gafferd; give its URL as an argument."""

import sys

from gaffer.httpclient import Server


def main(uri="http://127.0.0.1:5000"):
    with Server(uri) as server:
        job = server.add_process("helper", "sleep 1000", start=False)
        job.start()
        print("wanted:", job.add(2))
        print("state:", job.state)
        job.unload()
        print("jobs:", server.jobs())


if __name__ == "__main__":
    main(*sys.argv[1:])
