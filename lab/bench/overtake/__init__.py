"""An Extreme overtakes an alert to a million."""
