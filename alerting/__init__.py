"""Dispatch crisis alerts to citizens in seconds, without drowning them in messages."""
