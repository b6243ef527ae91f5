"""Applications in the foreground of a terminal: a manager in this very process, without web and monkey-patching."""
