"""The throttle decides: a decision is a function of the values handed to it."""
