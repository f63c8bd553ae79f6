"""Return addresses that name a delivery and cannot be made up (VERP).

A mail to such an address comes from somebody who was given it: the relays on the way of our own
mail. Without the tag anybody could write `b+1@…`, `b+2@…` and have citizens' addresses suspended.
"""

from __future__ import annotations

import hmac
import re

_TAG_BYTES = 10  # 80 bits, 16 letters: RFC 5321 §4.5.3.1.1 leaves a local part 64 octets
_MAX_ID = 2**63 - 1

# Base 32 (RFC 4648 §6) in lower case, two letters a step: one tag for every mail is made.
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(a + b for a in _LETTERS for b in _LETTERS)
_FROM_BIT = tuple(range(_TAG_BYTES * 8 - 10, -1, -10))


class Verp:
    """Makes and reads return addresses with one key for one domain."""

    def __init__(self, key: bytes, domain: str) -> None:
        # Copied for each tag: making one anew from the key costs three times as much.
        self._mac = hmac.new(key, digestmod="sha256")
        self._domain = domain.lower()
        self._form = re.compile(
            rf"b\+(\d{{1,19}})\.([a-z2-7]{{16}})@{re.escape(self._domain)}", re.ASCII
        )

    def address(self, delivery_id: int) -> str:
        """`b+4711.k3…@bounce.example.org`, in lower case: some relays lose the case."""
        return f"b+{delivery_id}.{self._tag(delivery_id)}@{self._domain}"

    def delivery_id(self, address: str) -> int | None:
        """The delivery an address names; None for one that we did not make."""
        found = self._form.fullmatch(address.strip().lower())
        if found is None:
            return None
        delivery_id = int(found[1])
        whole = str(delivery_id) == found[1] and delivery_id <= _MAX_ID
        if not whole or not hmac.compare_digest(found[2], self._tag(delivery_id)):
            return None
        return delivery_id

    def _tag(self, delivery_id: int) -> str:
        mac = self._mac.copy()
        mac.update(b"bounce" + delivery_id.to_bytes(8, "big"))
        number = int.from_bytes(mac.digest()[:_TAG_BYTES], "big")
        return "".join([_PAIRS[number >> bits & 1023] for bits in _FROM_BIT])
