"""The tables, by family, all of one metadata. Needs no PostgreSQL extension.

Instants are timestamptz. A delivery's id is its chunk's id times 1,024 plus its place in the
chunk, so a chunk owns a contiguous range of the ledger and needs no index to find it.
"""

from __future__ import annotations

from alerting.store.schema.admin_tables import (
    alarm,
    api_key,
    audit,
    person,
    policy,
    policy_shadow,
    provider,
    secret,
    silence,
)
from alerting.store.schema.alert_tables import (
    LIVE,
    UNFINISHED,
    alert,
    alert_reference,
    alert_signature,
    event,
    event_question,
    idempotency,
    thread,
)
from alerting.store.schema.citizen_tables import (
    address,
    citizen,
    citizen_geocode,
    inbound,
    place,
    roster,
    roster_member,
    roster_pass,
    suppression,
)
from alerting.store.schema.ledger_tables import (
    delivery,
    delivery_tally,
    delivery_tally_delta,
    digest_item,
    pruned_delivery,
    receipt,
)
from alerting.store.schema.table_parts import metadata
from alerting.store.schema.work_tables import CHUNK_SPAN, OPEN, outbox

__all__ = [
    "CHUNK_SPAN",
    "LIVE",
    "OPEN",
    "UNFINISHED",
    "address",
    "alarm",
    "alert",
    "alert_reference",
    "alert_signature",
    "api_key",
    "audit",
    "citizen",
    "citizen_geocode",
    "delivery",
    "delivery_tally",
    "delivery_tally_delta",
    "digest_item",
    "event",
    "event_question",
    "idempotency",
    "inbound",
    "metadata",
    "outbox",
    "person",
    "place",
    "policy",
    "policy_shadow",
    "provider",
    "pruned_delivery",
    "receipt",
    "roster",
    "roster_member",
    "roster_pass",
    "secret",
    "silence",
    "suppression",
    "thread",
]
