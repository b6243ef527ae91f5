"""The HTTP server: connections, request heads, bodies, timeouts, TLS."""
