"""Parts of a daemon: detaching, signals, logging, limits, exit codes."""
