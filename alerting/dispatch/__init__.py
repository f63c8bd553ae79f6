"""Dispatch: the way of an alert.

It goes through `intake`, `plan` and `chunks`, which asks `judging` and sends by `providers`;
`receipts`, `bounces` and `escalate` process what providers report. `workers` decides who does what
first.
"""
