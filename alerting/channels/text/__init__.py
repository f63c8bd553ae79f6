"""An alert in words: what every channel lays out, in the reader's language."""
