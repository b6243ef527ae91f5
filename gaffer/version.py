"""The version, read by setup.py without importing anything."""

__version__ = "1.0.0.dev0"
