"""What a worker does, and what of it first."""
