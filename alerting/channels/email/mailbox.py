"""Mail addresses: as registers write them, and as they go on the wire."""

from __future__ import annotations

import re
from functools import lru_cache

from alerting.channels.spec import Address, BadAddress

# What may stand in a header and an envelope without quoting; anything else is no address here.
# No CR, LF, space, comma or angle bracket passes, so an address can never say more than itself.
_LOCAL = r"[^\s\x00-\x20\x7f-\x9f()<>\[\]:;@\\,\"]{1,64}"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)*{_LABEL}"
_LOCAL_PART = re.compile(_LOCAL)
ADDRESS = re.compile(rf"{_LOCAL}@{_DOMAIN}")
HOST = re.compile(_DOMAIN)


def parse(value: str, *, allow_loopback: bool = False) -> Address:
    """A mail address as it was written. Raises BadAddress."""
    if value.lower().startswith("mailto:"):
        raise BadAddress("it begins with 'mailto:'.", remedy="Write the address alone.")
    if any(c in value for c in '<>,;" ') or not _has_domain(value) or mailbox(value) is None:
        raise BadAddress("this is no mail address.", remedy="Write one, as name@example.org.")
    return Address(value)


def mask(endpoint: str) -> str:
    """Enough of a mail address for its owner to know it again."""
    name, at, domain = endpoint.rpartition("@")
    return f"{name[:1]}…{at}{domain}"


def mailbox(endpoint: str) -> str | None:
    """The address as it goes on the wire, its domain in ASCII (IDNA); None for no address.

    Refuses whatever could end a header line or an SMTP command early.
    """
    local, _, written = endpoint.strip(" ").rpartition("@")
    domain = _domain(written)
    if domain is None or not _LOCAL_PART.fullmatch(local) or not local.isprintable():
        return None
    address = f"{local}@{domain}"
    return address if len(address) <= 254 else None


def _has_domain(value: str) -> bool:
    """Mail within one machine, or to an IP address, is no citizen's."""
    last = value.rpartition("@")[2].rpartition(".")
    return bool(last[0]) and len(last[2]) > 1 and not last[2].isdecimal()


# Most citizens of a chunk share a few; mails within a second share its text.
@lru_cache(maxsize=1024)
def _domain(written: str) -> str | None:
    try:
        domain = written.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return domain if HOST.fullmatch(domain) else None
