"""Name lookups that lead to public addresses only, whatever a name's owner answers."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from alerting.channels.push.push_endpoint import is_public_address, unmapped


class PublicResolver(AbstractResolver):
    """Looks names up and withholds every answer that is not public, rebinding included."""

    def __init__(
        self, *, allow_loopback: bool = False, inner: AbstractResolver | None = None
    ) -> None:
        self._allow_loopback = allow_loopback
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        kept = [r for r in found if self._may_call(r["host"])]
        if not kept:
            raise OSError("The push service's name leads to no public address.")
        return kept

    async def close(self) -> None:
        await self._inner.close()

    def _may_call(self, address: str) -> bool:
        ip = unmapped(address)
        return is_public_address(ip) or (self._allow_loopback and ip.is_loopback)
