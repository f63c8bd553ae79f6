"""Alerts, their threads and their events, as stored."""
