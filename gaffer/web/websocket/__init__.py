"""Websockets: frames, two-way streams and authentication by message."""
