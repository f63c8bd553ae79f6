"""Chaos: faults are injected into a whole system while an alert goes out, and the carriers' logs
are compared with the ledger."""
