"""Supervision: the job machine, the engine that steps it, and how processes are stopped."""
