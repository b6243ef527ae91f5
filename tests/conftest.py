"""What all tests share."""

import logging
import os
import signal
import sys

from hypothesis import settings

# Machines that run several things at once are slow now and then; that is no defect of ours.
settings.register_profile("gaffer", deadline=None)
settings.load_profile("gaffer")
# Nor is a plugin's, of which gaffer tells then, beside what a test wants to read in the log.
logging.getLogger("gaffer.hooks.slow").setLevel(logging.ERROR)
# A shell makes what it runs in the background ignore it, and the programs that are tested would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests start thousands of Pythons, which shall not compile gaffer each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
