"""Find in Twilio's own records the message whose answer was lost.

A create carries no reference of ours that can be searched for. What identifies it is who was
written to, by which sender, with which text, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from twilio.base.exceptions import TwilioException

from alerting.channels.base import CannotLookUp, Outcome, Outgoing
from alerting.channels.http import NoAnswer
from alerting.channels.sms.twilio_codes import callback_state, classify
from alerting.channels.sms.twilio_http import Refused
from alerting.domain.delivery import DeliveryState

#: Twilio's clock and ours may differ by so much; it gives whole seconds.
SKEW = timedelta(seconds=5)

#: Twilio writes this before every text of a trial account.
_TRIAL = "Sent from your Twilio trial account - "

_PAGE = 50
#: Messages to one number that are looked at before giving up: more than a citizen gets in weeks.
_MOST = 500


@dataclass(frozen=True, slots=True)
class _Known:
    """What the record says of one message."""

    sid: str
    status: str
    code: str
    created_at: datetime


async def look_up(
    messages: Any, message: Outgoing, sender: Mapping[str, str], *, since: datetime
) -> Outcome | None:
    """See `base.CanLookUp`. messages: the SDK's list of the account. sender: as `send` names it.

    Not filtered by DateSent, as a message that still waits in Twilio's queue has none, and it is
    exactly the one to be found.
    """
    found: list[_Known] = []
    seen = 0
    try:
        page = await messages.stream_async(to=message.endpoint, limit=_MOST, page_size=_PAGE)
        async for record in page:
            seen += 1
            # The newest come first; what has not been dated yet is new.
            created_at = record.date_created or since
            if created_at < since - SKEW:
                break
            if _is_it(record, message, sender):
                code = str(record.error_code or "")
                found.append(_Known(record.sid, str(record.status), code, created_at))
    except (Refused, NoAnswer) as e:
        raise CannotLookUp(e.code) from None
    except (TwilioException, ValueError, TypeError, AttributeError, KeyError):
        # Not the answer of a Twilio; its own words may quote numbers.
        raise CannotLookUp("malformed") from None
    if not found and seen == _MOST:
        raise CannotLookUp("too-many")
    if not found:
        return None
    # Of two, one tried again, what reached the citizen counts.
    reached = [k for k in found if callback_state(k.status) is not DeliveryState.FAILED]
    return _outcome(message.delivery_id, max(reached or found, key=lambda k: k.created_at))


def _is_it(record: Any, message: Outgoing, sender: Mapping[str, str]) -> bool:
    ours = (
        record.messaging_service_sid == sender["messaging_service_sid"]
        if "messaging_service_sid" in sender
        else record.from_ == sender.get("from_")
    )
    outbound = str(record.direction or "").startswith("outbound")
    return ours and outbound and _plain(record.body) == _plain(message.rendering.text)


def _plain(text: str | None) -> str:
    return " ".join((text or "").removeprefix(_TRIAL).split())


def _outcome(delivery_id: int, known: _Known) -> Outcome:
    if callback_state(known.status) is DeliveryState.FAILED:
        return Outcome(
            delivery_id, classify(known.code or 0), known.sid, known.code or known.status
        )
    return Outcome(delivery_id, provider_ref=known.sid)
