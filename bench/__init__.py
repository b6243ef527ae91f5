"""The figures: gaffer beside other supervisors, measured in one run. See README.rst."""
