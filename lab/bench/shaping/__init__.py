"""Worker processes that keep to one rate."""
