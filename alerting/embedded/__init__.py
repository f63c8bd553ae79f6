"""The embedded engines: PostgreSQL, Redis and stand-in carriers as child processes."""
