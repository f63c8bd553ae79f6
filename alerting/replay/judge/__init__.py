"""The judge: what citizens should have been told, derived from the raw alerts alone.

It imports nothing of the throttle and uses none of its events or threads, so that it can find it
wrong. Start at `oracle`, whose docstring is the definition.
"""
