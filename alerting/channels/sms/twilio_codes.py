"""Twilio's error codes and message statuses, as data in this system's closed sets.

Codes come in the answer to a create (21xxx, 20xxx) or later in a status callback (30xxx, 63xxx).
The class is chosen for what it makes the dispatcher do: only what concerns the whole account or
our sender is OUR_FAULT, because that stops all calls; a refusal of one destination or one text is
REFUSED_CONTENT, because another try says the same and everybody else must still be told.

Source: https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from alerting.channels.base import (
    DEAD_ADDRESS,
    OPTED_OUT,
    OUR_FAULT,
    PROVIDER_DOWN,
    REFUSED_CONTENT,
    THROTTLED,
    TOO_LATE,
    UNREACHABLE,
    ErrorClass,
)
from alerting.domain.delivery import DeliveryState


class Code(NamedTuple):
    error: ErrorClass
    meaning: str


CODES: Mapping[int, Code] = {
    14107: Code(REFUSED_CONTENT, "Too many replies between the same two numbers: a loop."),
    20003: Code(OUR_FAULT, "Account SID and token do not match."),
    20005: Code(OUR_FAULT, "The account is not active."),
    20404: Code(OUR_FAULT, "No such account or address of the API."),
    20429: Code(THROTTLED, "Too many requests; never processed."),
    20503: Code(PROVIDER_DOWN, "The service is not available."),
    21211: Code(DEAD_ADDRESS, "Not a valid number."),
    21212: Code(OUR_FAULT, "The sender is not a valid number or name."),
    21408: Code(REFUSED_CONTENT, "The account may not send to this country."),
    21602: Code(REFUSED_CONTENT, "The message has no text."),
    21603: Code(OUR_FAULT, "The request names no sender."),
    21604: Code(REFUSED_CONTENT, "The request names no recipient."),
    21606: Code(OUR_FAULT, "The sender cannot send SMS."),
    21608: Code(REFUSED_CONTENT, "A trial account may send to verified numbers only."),
    21609: Code(OUR_FAULT, "The status callback is not a valid address."),
    21610: Code(OPTED_OUT, "The citizen answered STOP to this sender."),
    21611: Code(THROTTLED, "The sender's queue is full."),
    21612: Code(REFUSED_CONTENT, "This sender cannot reach this number."),
    21614: Code(DEAD_ADDRESS, "Not a mobile number."),
    21617: Code(REFUSED_CONTENT, "The text is too long."),
    21659: Code(OUR_FAULT, "The sender is not a number of this provider."),
    21660: Code(OUR_FAULT, "The sender belongs to another account."),
    21703: Code(OUR_FAULT, "The messaging service holds no sender."),
    30001: Code(THROTTLED, "The queue overflowed."),
    30002: Code(OUR_FAULT, "The account was suspended between queueing and sending."),
    30003: Code(UNREACHABLE, "The phone is off or out of reach."),
    30004: Code(REFUSED_CONTENT, "The number or its network blocks the message."),
    30005: Code(DEAD_ADDRESS, "The number is unknown or no longer in service."),
    # Of a landline it stays true, but nothing tells one from a network that is down for a day.
    30006: Code(UNREACHABLE, "A landline, or a network that cannot be reached."),
    30007: Code(REFUSED_CONTENT, "Filtered as unwanted by the provider or the network."),
    30008: Code(UNREACHABLE, "Failed for a reason the network did not give."),
    30017: Code(UNREACHABLE, "The network was congested."),
    30022: Code(THROTTLED, "Faster than the network allows this sender."),
    30034: Code(REFUSED_CONTENT, "The sender is not registered for this country's networks."),
    30036: Code(TOO_LATE, "The validity period ended in the queue."),
    63017: Code(THROTTLED, "Faster than the account's limit."),
    63018: Code(THROTTLED, "Faster than the sender's limit."),
}


def classify(code: int | str) -> ErrorClass:
    """Class a code; one not in the table falls where it can do least harm.

    Unknown 30xxx and 63xxx (reports from networks) count as UNREACHABLE, all else as
    REFUSED_CONTENT: neither suspends the address nor stops the provider.
    """
    number = int(code) if str(code).isdecimal() else 0
    known = CODES.get(number)
    if known:
        return known.error
    return UNREACHABLE if number // 1000 in (30, 63) else REFUSED_CONTENT


_STATES: Mapping[str, DeliveryState] = {
    "accepted": DeliveryState.ACCEPTED,
    "scheduled": DeliveryState.ACCEPTED,
    "queued": DeliveryState.ACCEPTED,
    "sending": DeliveryState.ACCEPTED,
    "sent": DeliveryState.ACCEPTED,
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.DELIVERED,
    "undelivered": DeliveryState.FAILED,
    "failed": DeliveryState.FAILED,
    "canceled": DeliveryState.FAILED,
}


def callback_state(status: str) -> DeliveryState | None:
    """The state a callback's MessageStatus proves; None for one that says nothing of delivery.

    Callbacks come in any order: the caller moves forward along the transition table only.
    """
    return _STATES.get(status.lower())
