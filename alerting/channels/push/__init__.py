"""Web Push, encrypted for each subscription."""
