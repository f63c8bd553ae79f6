"""The ledger: a row for each delivery, with its outcomes, receipts, digests and totals."""
