"""What gafferd and gaffer_lookupd share as programs that serve: patching, the way into the background, logs, limits."""
