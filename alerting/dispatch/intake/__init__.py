"""From a request to an alert that stands, and to its end by one."""
