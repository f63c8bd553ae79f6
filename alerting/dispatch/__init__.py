"""Dispatch conducts: submit, plan, deliver, receipts, sweep."""
