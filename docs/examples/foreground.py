"""A program that runs its jobs until it is told to stop, and prints what they say."""

import gaffer
from gaffer.console_output import ConsoleOutput
from gaffer.sig_handler import SigHandler


def main():
    manager = gaffer.Manager(apps=[SigHandler(), ConsoleOutput()])
    manager.load(gaffer.JobConfig("talker", "sh -c 'echo good morning; sleep 1000'", redirect_output=["out"]))
    manager.start()
    manager.run()


if __name__ == "__main__":
    main()
