"""Configuration: job settings, options, files and addresses."""
