"""The discovery server; this version holds only its command line."""
