"""What gafferd and gaffer_lookupd share as daemons: detaching, signals, logging, limits, exit codes."""
