"""Which addresses we post push messages to.

A citizen's browser, or anyone who claims to be one, gives us the address, so without these checks
a subscription could make our workers call machines inside our own network (SSRF).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from alerting.errors import BadInput

MAX_URL_CHARS = 2048
# Everything before the path and the query; what follows says nothing about who is called.
_SERVER = re.compile(r"[a-z]+://[^/?]*", re.IGNORECASE)
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_NAME = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]"
)
#: Names that no public register has: RFC 6761, 6762 and 8375, and what networks call their own.
_PRIVATE_SUFFIXES = (
    ".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private", ".corp", ".home",
    ".home.arpa", ".lan", ".svc", ".cluster", ".test", ".invalid", ".onion",
)  # fmt: skip
#: IPv6 that leads to an IPv4 address hidden in it (RFC 6052, 8215, 2765), and IPv4 that leads
#: into such a way (RFC 7526).
_TRANSLATED = tuple(
    map(
        ip_network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "192.88.99.0/24")
    )
)


def check_endpoint(
    url: str, *, allowed_origins: Sequence[str] = (), allow_loopback_http: bool = False
) -> str:
    """Return the origin (`https://host`) of a push endpoint we may call.

    https on the standard port and a public host only. allowed_origins: empty for any, else the
    only ones taken. allow_loopback_http: also take http on any port of the loopback host, as the
    sandbox has it. Raises BadInput, whose text does not repeat the address. A name that leads to
    a private address is caught when it is looked up: PublicResolver.
    """
    if len(url) > MAX_URL_CHARS or not url.isascii() or _ODD.search(url):
        raise _refused("it is not a plain web address")
    if "#" in url:
        raise _refused("it carries a fragment")
    server = _SERVER.match(url)
    if server is None:
        raise _refused("it is not a web address")
    origin = _origin(server[0], allow_loopback_http)
    if allowed_origins and origin not in allowed_origins:
        raise _refused("its push service is not on the list of those allowed")
    return origin


# A few push services serve all citizens; anybody may name others, so not all are remembered.
@lru_cache(maxsize=256)
def _origin(server: str, allow_loopback_http: bool) -> str:
    """The origin of an endpoint whose address begins so. Raises BadInput where we do not call."""
    try:
        parts = urlsplit(server)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused("it is not a web address") from None
    if "@" in parts.netloc:
        raise _refused("it carries a user name")
    if allow_loopback_http and parts.scheme == "http" and _is_loopback(host):
        return f"http://{parts.netloc.lower()}"
    if parts.scheme != "https":
        raise _refused("it is not https")
    if port not in (None, 443):
        raise _refused("it names an unusual port")
    if not _is_public(host):
        raise _refused("its host is not public")
    return f"https://[{host}]" if ":" in host else f"https://{host}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return unmapped(host).is_loopback
    except ValueError:
        return False


def _is_public(host: str) -> bool:
    """Names must look like public ones; a last label in digits would be an address in disguise."""
    try:
        return is_public_address(unmapped(host))
    except ValueError:
        return bool(_NAME.fullmatch(host)) and not host.endswith(_PRIVATE_SUFFIXES)


def is_public_address(ip: IPv4Address | IPv6Address) -> bool:
    """One host of the public internet, named by itself."""
    if ip.is_multicast or ip.is_reserved or (isinstance(ip, IPv6Address) and ip.is_site_local):
        return False
    return ip.is_global and not any(ip in n for n in _TRANSLATED if n.version == ip.version)


def unmapped(address: str) -> IPv4Address | IPv6Address:
    """Read an address, an IPv4 inside an IPv6 as itself. Raises ValueError."""
    ip = ip_address(address)
    return (ip.ipv4_mapped or ip.sixtofour or ip) if isinstance(ip, IPv6Address) else ip


def _refused(why: str) -> BadInput:
    return BadInput(f"The push subscription's endpoint is refused: {why}.")
