"""Which provider of a channel is called, when, and which is left alone."""
