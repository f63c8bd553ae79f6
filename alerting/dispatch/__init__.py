"""Dispatch: the pipeline of an alert.

`intake` accepts it, `placement` finds its thread and event, `plan` writes its deliveries, and
`chunks` sends them through `providers` after `evaluation` has decided each. `receipts`,
`bounce_intake` and `escalate` process what providers report. `workers` claim the work and order it.
"""
