"""Work for the workers: the outbox, its queues, claims and leases."""
