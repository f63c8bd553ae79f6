"""Bounces: stores returned mails as receipts.

Only return addresses that we created are accepted. A mail is acknowledged after its receipt is
committed; until then it stays with the mail server, which retries for days.
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
    """Return what creates and reads this system's return addresses (VERP).

    Raises:
        Unavailable: When the database cannot be reached.
    """
    async with db.begin() as connection:
        return Verp(await get_or_create(connection, BOUNCE_KEY, new_key), domain)


def receipt_of(delivery_id: int, mail: bytes) -> NewReceipt:
    """The receipt for a mail to this delivery's return address. A mail that reports nothing has one
    too, so that its arrival is recorded."""
    bounce = bounces.read(mail)
    log.info("bounce.taken", delivery=delivery_id, status=bounce.status, code=bounce.code)
    return NewReceipt("email", delivery_id, "", bounce.status, bounce.code)
