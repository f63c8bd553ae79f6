"""From a submission to an accepted alert, and from a cancel to its end."""
