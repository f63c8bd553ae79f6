"""What the Twilio-shaped API refuses, in Twilio's codes and words.

Source: Twilio's Messages resource and its error dictionary.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from aiohttp import web

_MAX_BODY = 1600
#: How long a message may wait to be sent where its sender does not say.
MAX_VALIDITY_S = 36_000
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-f]{32}")
_CALLBACK = re.compile(r"https?://[^\s/]+\S*", re.ASCII)


class Refused(Exception):
    """An answer other than yes, in Twilio's code and words."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def answer(self) -> web.Response:
        body = {
            "code": self.code,
            "message": str(self),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        if self.status == 429:
            headers["Retry-After"] = "1"
        return web.json_response(body, status=self.status, headers=headers)


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a posted form.

    Raises:
        Refused: Where it is none.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii", "replace"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=100,
        )
    except ValueError as e:
        raise Refused(400, 20001, "The form cannot be read") from e
    return dict(pairs)


def validate(form: dict[str, str], opted_out: frozenset[str]) -> None:
    """Raise Refused for what Twilio refuses before it takes a message."""
    to, sender = form.get("To", ""), form.get("From", "")
    service, body = form.get("MessagingServiceSid", ""), form.get("Body", "")
    if not to:
        raise Refused(400, 21604, "A 'To' phone number is required.")
    if not sender and not service:
        raise Refused(400, 21603, "A 'From' phone number is required.")
    if not body:
        raise Refused(400, 21602, "Message body is required.")
    if not _E164.fullmatch(to):
        raise Refused(400, 21211, "Invalid 'To' Phone Number")
    if sender and not _SENDER.fullmatch(sender):
        raise Refused(400, 21212, "Invalid 'From' Phone Number")
    if service and not _SERVICE.fullmatch(service):
        raise Refused(404, 21701, "The Messaging Service does not exist")
    if len(body) > _MAX_BODY:
        raise Refused(
            400, 21617, f"The concatenated message body exceeds the {_MAX_BODY} character limit"
        )
    callback = form.get("StatusCallback", "")
    if callback and not _CALLBACK.fullmatch(callback):
        raise Refused(400, 21609, "The StatusCallback URL is not a valid URL.")
    validity = form.get("ValidityPeriod")
    if validity is not None and not _is_validity(validity):
        raise Refused(400, 21624, "Invalid validity period value")
    if to in opted_out:
        raise Refused(400, 21610, "Attempt to send to unsubscribed recipient")


def _is_validity(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_VALIDITY_S
