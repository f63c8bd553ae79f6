"""SMS over Twilio's Messages resource.

Twilio has no idempotency key for a create, so a lost answer stays AMBIGUOUS until a status
callback, which carries our delivery id, Twilio's own records, or the dispatcher's patience settles
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from twilio.rest import Client

from alerting.channels.base import AMBIGUOUS, OUR_FAULT, TOO_LATE, Outcome, Outgoing
from alerting.channels.http import HttpClient, NoAnswer
from alerting.channels.sms import twilio_lookup
from alerting.channels.sms.twilio_codes import classify
from alerting.channels.sms.twilio_create import Creates
from alerting.channels.sms.twilio_http import Refused, TwilioTransport
from alerting.clock import Clock, SystemClock
from alerting.domain.lane import Lane
from alerting.errors import BadInput

#: Twilio's bounds of ValidityPeriod, in seconds; the upper one is its default.
MAX_VALIDITY_S = 36_000


@dataclass(frozen=True, slots=True)
class TwilioConfig:
    """Whose account, and which sender speaks in which lane.

    The sender of a lane is the first there is of `senders[lane]`, the messaging service (one for
    all, or one per lane), `default_sender`. An own sender for the extreme lane keeps it out of
    the queue the others fill; one for drills keeps a citizen's STOP to a drill from blocking the
    number that warns them.

    status_callback_url: where Twilio reports; `?delivery=<id>` is added. Empty: no reports.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    base_url: str = "https://api.twilio.com"
    default_sender: str = ""
    senders: Mapping[Lane, str] = field(default_factory=dict)
    messaging_service: Mapping[Lane, str] | str = ""
    status_callback_url: str = ""
    timeout_s: float = 10.0
    concurrency: int = 64

    def sender(self, lane: Lane) -> dict[str, str]:
        """The form field that names the sender of a lane; empty where none is set."""
        service = self.messaging_service
        if not isinstance(service, str):
            service = service.get(lane, "")
        if number := self.senders.get(lane):
            return {"from_": number}
        if service:
            return {"messaging_service_sid": service}
        return {"from_": self.default_sender} if self.default_sender else {}


class TwilioSms:
    """Sends SMS through one Twilio account. Raises BadInput where the settings cannot work."""

    name = "sms"
    can_be_silent = False

    def __init__(self, config: TwilioConfig, *, clock: Clock | None = None) -> None:
        if not config.account_sid or not config.auth_token:
            raise BadInput(
                "SMS needs a Twilio account.",
                remedy="Set ALERTING_TWILIO_ACCOUNT_SID and ALERTING_TWILIO_AUTH_TOKEN.",
            )
        if urlsplit(config.base_url).scheme not in ("http", "https"):
            raise BadInput(
                "ALERTING_TWILIO_BASE_URL is not a web address.",
                remedy="Leave it out for Twilio itself.",
            )
        self.concurrency = config.concurrency
        self._clock = clock or SystemClock()
        self._config = config
        self._senders = {lane: config.sender(lane) for lane in Lane}
        mark = "&" if "?" in config.status_callback_url else "?"
        self._http = HttpClient(timeout_s=config.timeout_s, concurrency=config.concurrency)
        transport = TwilioTransport(
            self._http, config.base_url, config.account_sid, config.auth_token
        )
        sdk = Client(config.account_sid, config.auth_token, http_client=transport)
        self._messages = sdk.messages
        self._creates = Creates(
            transport,
            config.account_sid,
            config.auth_token,
            callback=config.status_callback_url and f"{config.status_callback_url}{mark}delivery=",
        )

    async def open(self) -> None:
        await self._http.open()

    async def close(self) -> None:
        await self._http.close()

    async def send(self, message: Outgoing) -> Outcome:
        """Hand one SMS over; never later than its validity, which Twilio's queue keeps too."""
        sender = self._senders[_lane(message)]
        if not sender:
            return Outcome(message.delivery_id, OUR_FAULT, provider_code="no-sender")
        validity_s = None
        if message.valid_until is not None:
            life_s = int((message.valid_until - self._clock.now()).total_seconds())
            if life_s < 1:
                return Outcome(message.delivery_id, TOO_LATE)
            validity_s = min(life_s, MAX_VALIDITY_S)
        try:
            created = await self._creates.create(
                message.endpoint,
                message.rendering.text,
                sender,
                delivery_id=message.delivery_id,
                validity_s=validity_s,
            )
        except Refused as e:
            return Outcome(
                message.delivery_id, e.error, provider_code=e.code, retry_after_s=e.retry_after_s
            )
        except NoAnswer as e:
            return Outcome(message.delivery_id, e.error, provider_code=e.code)
        except (ValueError, TypeError):
            # A 2xx that cannot be read: something took the message, who knows what.
            return Outcome(message.delivery_id, AMBIGUOUS, provider_code="malformed")
        if created.failed:
            return Outcome(
                message.delivery_id,
                classify(created.code),
                created.sid,
                str(created.code or created.failed),
            )
        return Outcome(message.delivery_id, provider_ref=created.sid)

    async def look_up(self, message: Outgoing, *, since: datetime) -> Outcome | None:
        """See `base.CanLookUp`."""
        sender = self._senders[_lane(message)]
        if not sender:
            return None  # nothing was ever sent
        return await twilio_lookup.look_up(self._messages, message, sender, since=since)


def _lane(message: Outgoing) -> Lane:
    """The lane whose sender speaks: a drill never uses the number of real alerts by its lane."""
    return Lane.DRILL if message.drill else message.lane
