"""The throttle: whether a citizen is notified. A decision is a function of the values passed in."""
