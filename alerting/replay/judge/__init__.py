"""The judge: what citizens should have been told, worked out from the raw alerts alone.

It imports nothing of the throttle, takes none of its words for an event or a thread, and so can
find it wrong. `oracle` is the way in and its docstring the definition.
"""
