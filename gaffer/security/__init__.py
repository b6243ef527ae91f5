"""What several programs share to know whom and what they trust: peers, sockets, secrets."""
