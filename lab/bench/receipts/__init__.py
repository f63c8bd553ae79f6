"""Status callbacks taken in."""
