"""Commands about several nodes."""
