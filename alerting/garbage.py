"""Garbage collections of processes that are busy for days with objects that die at once."""

from __future__ import annotations

import gc

#: So many new objects before a collection; nearly all of them die without one.
_OBJECTS = 10_000


def leave_out_what_stays() -> None:
    """Let collections leave out all there is now, which lives as long as the process, and come
    less often.

    Looking through it again and again took a sixth of a busy worker's time and stopped its loop
    for 150 ms at once.
    """
    gc.set_threshold(_OBJECTS)
    gc.freeze()
