"""Which thread and event an alert belongs to, and what it ends."""
