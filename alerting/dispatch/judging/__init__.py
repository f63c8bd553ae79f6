"""What the throttle is asked, with what it must know, and what its answer does."""
