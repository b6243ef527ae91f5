"""Logins, users and keys."""
