"""gafferd: puts a manager, its plugins and its settings together and lives as a daemon. Nothing imports it."""
