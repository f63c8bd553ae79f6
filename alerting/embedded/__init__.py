"""The engines inside: PostgreSQL, Redis and stand-in carriers as child processes."""
