"""What all commands share: options, output, streaming."""
