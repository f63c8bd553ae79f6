"""Dispatch conducts. An alert goes by `intake`, `plan` and `chunks`, which asks `judging` and sends
by `providers`; `receipts`, `bounces` and `escalate` hear what came of it. `workers` says who does
what first.
"""
