"""Decisions about trust that several programs share: peers, sockets, files, secrets."""
