"""Bounces: mails that come back, taken from the mail server and kept as receipts.

Only return addresses that we made are taken, and a mail is answered for when its receipt is
durable: what cannot be kept now is left to the mail server, which tries again for days.
"""

from __future__ import annotations

from alerting.channels.email import bounce_report as bounces
from alerting.channels.email.verp import Verp
from alerting.domain.links import new_key
from alerting.observe.logs import logger
from alerting.store.db import Database
from alerting.store.receipts import NewReceipt
from alerting.store.secrets import BOUNCE_KEY, get_or_create

log = logger(__name__)


async def return_addresses(db: Database, domain: str) -> Verp:
    """Makes and reads this system's return addresses. Raises Unavailable without a database."""
    async with db.begin() as connection:
        return Verp(await get_or_create(connection, BOUNCE_KEY, new_key), domain)


def receipt_of(delivery_id: int, mail: bytes) -> NewReceipt:
    """The receipt a mail to this delivery's return address comes to. One that reports nothing is
    one as well: so it is known that it came."""
    bounce = bounces.read(mail)
    log.info("bounce.taken", delivery=delivery_id, status=bounce.status, code=bounce.code)
    return NewReceipt("email", delivery_id, "", bounce.status, bounce.code)
