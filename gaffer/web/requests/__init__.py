"""Requests: access by Host and origin, authentication, routes, bodies and answers."""
