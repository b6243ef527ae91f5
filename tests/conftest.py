"""What all tests share."""

from hypothesis import settings

# Machines that run several things at once are slow now and then; that is no defect of ours.
settings.register_profile("gaffer", deadline=None)
settings.load_profile("gaffer")
