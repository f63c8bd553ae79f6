"""Web Push: one provider, whose servers are those behind the subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from alerting.channels.push import subscription
from alerting.channels.push.push_text import push_digest, push_layout
from alerting.channels.spec import ChannelSpec, Check, Finding, Provider, Setup
from alerting.clock import SystemClock

if TYPE_CHECKING:
    from alerting.channels.push.web_push import PushConfig

# The adapter brings aiohttp and cryptography: it is imported where it is built.

#: The domain of the default sender, which belongs to nobody and must be replaced.
_NOBODYS = "example.org"


def identity(setup: Setup) -> PushConfig:
    """Who we are to push services."""
    from alerting.channels.push.web_push import PushConfig

    settings = setup.settings
    return PushConfig(
        vapid_pem=setup.vapid,
        contact=settings.push_contact,
        timeout_s=settings.push_timeout_s,
        concurrency=settings.push_concurrency,
        allowed_origins=settings.push_origins,
        allow_loopback_http=setup.sandbox is not None,
    )


def _providers(setup: Setup) -> Sequence[Provider]:
    from alerting.channels.push.web_push import WebPush

    return [Provider(f"{PUSH.name}.1", WebPush(identity(setup)), by_origin=True)]


def _checks(setup: Setup) -> Mapping[str, Check]:
    return {PUSH.name: partial(_examine, setup)}


async def _examine(setup: Setup) -> Finding:
    from alerting.channels.push.vapid import Vapid, generate

    contact = setup.settings.push_contact
    # Where the key is not known the contact is checked all the same.
    Vapid(setup.vapid or generate(), contact, SystemClock())
    found = f"contact {contact}"
    if setup.settings.carriers == "real" and contact.endswith(_NOBODYS):
        return Finding(
            f"{found}, which is nobody's",
            "Set ALERTING_PUSH_CONTACT: push services write there before they block a sender.",
        )
    return Finding(found)


PUSH = ChannelSpec(
    name="push",
    order=1,
    can_be_silent=True,
    wakes=True,
    reports_delivery=False,
    parse_address=subscription.parse,
    mask=subscription.mask,
    # Pages hand subscriptions over; some write them in several lines.
    multiline=True,
    render=push_layout,
    render_digest=push_digest,
    providers=_providers,
    checks=_checks,
    per_second=0,
)
