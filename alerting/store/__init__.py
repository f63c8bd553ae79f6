"""PostgreSQL, the truth: schema, migrations, outbox and leases, the ledger of deliveries."""
