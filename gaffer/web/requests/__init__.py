"""Requests: who makes them, which route answers, and with what."""
