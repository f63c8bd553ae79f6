"""The demo: the whole way of an alert on this machine, judged by what the carriers received."""
