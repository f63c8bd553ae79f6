"""Provider health: which provider of a channel may be called now, and how fast."""
