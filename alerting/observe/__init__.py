"""What the system says of itself: log lines and metrics. Never an address, token or text."""
