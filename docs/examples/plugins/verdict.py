"""Decides what follows a process that ended by itself."""

import gaffer
from gaffer.api import After, GiveUp

EX_TEMPFAIL, EX_CONFIG = 75, 78


@gaffer.hookimpl
def gaffer_restart_decision(job, status):
    if status is None:
        return None  # it could not even be started: gaffer's own policy shall decide
    if status.code == EX_CONFIG:
        return GiveUp("it says that its configuration is wrong")
    if status.code == EX_TEMPFAIL:
        return After(60.0)
    return None
