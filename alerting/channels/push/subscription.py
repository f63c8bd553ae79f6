"""A browser's push subscription, as pages hand it over."""

from __future__ import annotations

import json

from alerting.channels.push.push_endpoint import check_endpoint
from alerting.channels.spec import Address, BadAddress
from alerting.errors import BadInput


def parse(value: str, *, allow_loopback: bool = False) -> Address:
    """The endpoint and the keys of a subscription. Raises BadAddress."""
    what = 'a browser\'s subscription is {"endpoint": …, "keys": {"p256dh": …, "auth": …}}.'
    try:
        document = json.loads(value)
        endpoint, keys = document["endpoint"], document["keys"]
        p256dh, auth = str(keys["p256dh"]), str(keys["auth"])
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise BadAddress(what, remedy="Take it from the browser as it is.") from e
    try:
        check_endpoint(str(endpoint), allowed_origins=(), allow_loopback_http=allow_loopback)
    except BadInput as e:
        raise BadAddress(e.detail, remedy=e.remedy) from e
    return Address(str(endpoint), {"p256dh": p256dh, "auth": auth})


def mask(endpoint: str) -> str:
    """A subscription's address says nothing to its owner; it is of the device they hold."""
    return "this device"
