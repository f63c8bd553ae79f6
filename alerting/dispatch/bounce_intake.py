"""Bounces: returned mails, accepted from the mail server and stored as receipts.

Only return addresses that we created are accepted, and a mail is acknowledged when its receipt is
durable: what cannot be stored now is left to the mail server, which retries for days.
"""

from __future__ import annotations

from alerting.channels.email import bounce_report as bounces
from alerting.channels.email.verp import Verp
from alerting.domain.links import new_key
from alerting.observe.logs import logger
from alerting.store.admin.secrets import BOUNCE_KEY, get_or_create
from alerting.store.db import Database
from alerting.store.ledger.receipt_intake import NewReceipt

log = logger(__name__)


async def return_addresses(db: Database, domain: str) -> Verp:
    """Creates and reads this system's return addresses. Raises Unavailable without a database."""
    async with db.begin() as connection:
        return Verp(await get_or_create(connection, BOUNCE_KEY, new_key), domain)


def receipt_of(delivery_id: int, mail: bytes) -> NewReceipt:
    """The receipt for a mail to this delivery's return address; also for one that reports nothing,
    so that its arrival is on record."""
    bounce = bounces.read(mail)
    log.info("bounce.taken", delivery=delivery_id, status=bounce.status, code=bounce.code)
    return NewReceipt("email", delivery_id, "", bounce.status, bounce.code)
