"""Shared by all commands: the program, its output, streaming, and many nodes."""
