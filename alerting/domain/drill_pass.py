"""The pass of a drill's participant: without it no channel carries a drill to their endpoint.

Made by the drills room alone, for members of a roster, and checked by the wall around every
channel. Nobody else imports this.
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
