"""Websocket frames (RFC 6455), for servers and clients alike, and the client's end of a connection."""
