"""Live data: feeds and the channel of events, output and statistics."""
