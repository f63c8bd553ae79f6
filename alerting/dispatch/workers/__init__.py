"""What a worker process does, and in which order."""
