import socket

import pytest
from aiohttp.abc import AbstractResolver
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from alerting.channels.push.public_resolver import PublicResolver
from alerting.channels.push.push_endpoint import check_endpoint
from alerting.errors import BadInput


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://updates.example.org/wpush/v2/gAAAA", "https://updates.example.org"),
        ("https://Updates.Example.ORG:443/x?y=z", "https://updates.example.org"),
        ("https://8.8.8.8/x", "https://8.8.8.8"),
        ("https://[2001:4860:4860::8888]/x", "https://[2001:4860:4860::8888]"),
        ("https://xn--bcher-kva.example/x", "https://xn--bcher-kva.example"),
    ],
)
def test_check_endpoint_accepts_public_https(url, origin):
    assert check_endpoint(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a-word",
        "http://push.example.org/x",
        "ftp://push.example.org/x",
        "https:///x",
        "https://push.example.org:8443/x",
        "https://push.example.org:99999/x",
        "https://push.example.org:/x\r\nHost: inside",
        "https://user@push.example.org/x",
        "https://user:pw@push.example.org/x",
        "https://@push.example.org/x",
        "https://push.example.org/x#y",
        "https://push.example.org#@inside.example.org/x",
        "https://push.example.org\\@inside.example.org/x",
        "https://localhost/x",
        "https://api.localhost/x",
        "https://printer.local/x",
        "https://metadata.google.internal/x",
        "https://intranet/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://0.0.0.0/x",
        "https://10.1.2.3/x",
        "https://172.16.0.1/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://[::1]/x",
        "https://[::]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[2002:7f00:1::]/x",
        "https://[fe80::1]/x",
        "https://[fd00::1]/x",
        "https://[::127.0.0.1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://[64:ff9b:1::7f00:1]/x",
        "https://[::ffff:0:7f00:1]/x",
        "https://[fec0::1]/x",
        "https://[ff02::1]/x",
        "https://[ff0e::1]/x",
        "https://224.0.0.1/x",
        "https://240.0.0.1/x",
        "https://192.88.99.1/x",
        "https://push.default.svc/x",
        "https://push.corp/x",
        "https://wiki.intranet/x",
        "https://nas.home/x",
        "https://localhost.localdomain/x",
        "https://[::1/x",
        "https://push.example.org/" + "x" * 2100,
        "https://pu\u0455h.example.org/x",
        "https://-push.example.org/x",
    ],
)
def test_check_endpoint_refuses_everything_else(url):
    with pytest.raises(BadInput, match="refused") as caught:
        check_endpoint(url)
    assert url == "" or url not in str(caught.value)


PIECES = ["8.8.8.8", "127.0.0.1", "[::1]", "push.example.org", "inside", ".", ":", ":443", "//"]


@given(
    st.sampled_from(
        ["https://", "HTTPS://push.example.org", "https://8.8.8.8", "https:", "http://"]
    ),
    st.lists(st.sampled_from([*PIECES, "/", "?", "@", ";", "&", "=", "%40", "%2f", "[", "]"])),
)
@example("https://push.example.org", ["?", "@", "127.0.0.1"])
def test_checked_origin_is_the_one_called(start, rest):
    url = start + "".join(rest)
    try:
        origin = check_endpoint(url)
    except BadInput:
        return
    called = URL(url, encoded=True)
    assert f"{called.scheme}://{called.host_subcomponent.lower()}" == origin
    assert (called.port, called.user) == (443, None)


def test_allow_list_accepts_only_its_origins():
    allowed = ("https://updates.example.org",)
    assert check_endpoint("https://updates.example.org/x", allowed_origins=allowed) == allowed[0]
    for url in ("https://other.example.org/x", "https://updates.example.org.evil.example/x"):
        with pytest.raises(BadInput, match="not on the list"):
            check_endpoint(url, allowed_origins=allowed)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8090/push/1", "http://127.0.0.1:8090"),
        ("http://localhost:8090/push/1", "http://localhost:8090"),
        ("http://[::1]:8090/push/1", "http://[::1]:8090"),
    ],
)
def test_loopback_is_accepted_only_when_allowed(url, origin):
    assert check_endpoint(url, allow_loopback_http=True) == origin
    with pytest.raises(BadInput):
        check_endpoint(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1:80/x", "http://push.example.org/x"])
def test_loopback_allowed_still_refuses_other_http(url):
    with pytest.raises(BadInput):
        check_endpoint(url, allow_loopback_http=True)


class Answering(AbstractResolver):
    """Resolves every name to the addresses given."""

    def __init__(self, *addresses):
        self.addresses = addresses
        self.closed = False

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": family,
                "proto": 0,
                "flags": 0,
            }
            for address in self.addresses
        ]

    async def close(self):
        self.closed = True


async def test_resolver_refuses_private_addresses():
    resolver = PublicResolver(inner=Answering("127.0.0.1", "10.0.0.5", "::ffff:10.0.0.5"))
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("push.example.org", 443)


async def test_resolver_keeps_only_public_addresses():
    inner = Answering("10.0.0.5", "8.8.8.8")
    resolver = PublicResolver(inner=inner)
    kept = await resolver.resolve("push.example.org", 443)
    assert [r["host"] for r in kept] == ["8.8.8.8"]
    await resolver.close()
    assert inner.closed


async def test_resolver_keeps_loopback_when_allowed():
    resolver = PublicResolver(allow_loopback=True, inner=Answering("127.0.0.1", "10.0.0.5"))
    kept = await resolver.resolve("localhost", 8090)
    assert [r["host"] for r in kept] == ["127.0.0.1"]
