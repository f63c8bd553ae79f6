"""One chunk, from its lease to the last outcome."""
