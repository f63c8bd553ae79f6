"""The pass of a drill's participant: without it no channel sends a drill to their endpoint.

Only `alerting.drills` makes passes, for members of a roster; the wall around every channel checks
them. Nobody else imports this.
"""

from __future__ import annotations

import hashlib
import hmac


def make(key: bytes, channel: str, endpoint: str) -> bytes:
    """The pass of one endpoint on one channel, 32 bytes; another endpoint needs another."""
    return hmac.digest(key, f"{channel}\0{endpoint}".encode(), hashlib.sha256)


def fits(key: bytes, channel: str, endpoint: str, drill_pass: bytes) -> bool:
    """True for a pass that was made with this key for this very endpoint."""
    return hmac.compare_digest(drill_pass, make(key, channel, endpoint))
