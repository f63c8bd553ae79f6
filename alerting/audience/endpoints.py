"""Endpoints as registers write them: read as they were meant, or refused with what to do.

Nothing is guessed: a phone number that needs a guess may be somebody else's.
"""

from __future__ import annotations

import json
import re
import unicodedata

import phonenumbers
from phonenumbers import ValidationResult

from alerting.audience.bad_row import BadRow
from alerting.channels.email import mailbox
from alerting.channels.push_endpoint import check_endpoint
from alerting.errors import BadInput

#: As spreadsheets write a long number.
_SCIENTIFIC = re.compile(r"[+=']*\d+([.,]\d+)?[eE][+-]?\d+")

#: Beside digits, blanks and hyphens of any kind.
_BETWEEN = frozenset("()./+\N{FULLWIDTH PLUS SIGN}")

_LENGTHS = {
    ValidationResult.INVALID_COUNTRY_CODE: "begins with no country's code",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
    ValidationResult.TOO_SHORT: "has too few digits for its country",
    ValidationResult.INVALID_LENGTH: "has a number of digits that its country does not use",
    ValidationResult.TOO_LONG: "has too many digits for its country",
}

_INTERNATIONAL = "Write it in international form such as +447700900123."


def phone(value: str) -> str:
    """A phone number in E.164. Raises BadRow."""
    # What cannot be seen comes along when a number is copied from a page, and means nothing.
    written = "".join(c for c in value if unicodedata.category(c) != "Cf").strip()
    if written[:4].lower() == "tel:":
        written = written[4:]
    if _SCIENTIFIC.fullmatch(written):
        raise BadRow(
            f"sms: {written!r} is a number that a spreadsheet has rounded.",
            remedy="Its digits are lost there: export it anew, with the column as text.",
        )
    for character in written:
        if not _may_stand(character):
            raise BadRow(
                f"sms: a phone number holds no {character!r}.",
                remedy="Write +, digits and blanks only, without an extension.",
            )
    try:
        number = phonenumbers.parse(written)
    except phonenumbers.NumberParseException as e:
        raise BadRow(
            "sms: this is no phone number in international form.", remedy=_INTERNATIONAL
        ) from e
    found = phonenumbers.is_possible_number_with_reason(number)
    if found != ValidationResult.IS_POSSIBLE:
        raise BadRow(f"sms: this phone number {_LENGTHS[found]}.", remedy=_INTERNATIONAL)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _may_stand(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in {"Nd", "Zs", "Pd"} or character in _BETWEEN


def mail(value: str) -> str:
    """A mail address as it was written. Raises BadRow."""
    if value.lower().startswith("mailto:"):
        raise BadRow("email: it begins with 'mailto:'.", remedy="Write the address alone.")
    if any(c in value for c in '<>,;" ') or not _has_domain(value) or mailbox(value) is None:
        raise BadRow("email: this is no mail address.", remedy="Write one, as name@example.org.")
    return value


def _has_domain(value: str) -> bool:
    """Mail within one machine, or to an IP address, is no citizen's."""
    last = value.rpartition("@")[2].rpartition(".")
    return bool(last[0]) and len(last[2]) > 1 and not last[2].isdecimal()


def subscription(value: str, *, loopback_push: bool) -> tuple[str, dict[str, str]]:
    """The endpoint and the keys of a browser's push subscription. Raises BadRow."""
    what = 'push: a browser\'s subscription is {"endpoint": …, "keys": {"p256dh": …, "auth": …}}.'
    try:
        document = json.loads(value)
        endpoint, keys = document["endpoint"], document["keys"]
        p256dh, auth = str(keys["p256dh"]), str(keys["auth"])
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise BadRow(what, remedy="Take it from the browser as it is.") from e
    try:
        check_endpoint(str(endpoint), allowed_origins=(), allow_loopback_http=loopback_push)
    except BadInput as e:
        raise BadRow(f"push: {e.detail}", remedy=e.remedy) from e
    return str(endpoint), {"p256dh": p256dh, "auth": auth}
