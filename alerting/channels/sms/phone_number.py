"""Phone numbers as registers write them: read as they were meant, or refused with a remedy.

Nothing is guessed: a number that needs a guess may be somebody else's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache

from alerting.channels.spec import Address, BadAddress

#: The form in which spreadsheets write a long number.
_SCIENTIFIC = re.compile(r"[+=']*\d+([.,]\d+)?[eE][+-]?\d+")

#: A stroke before the last few digits: the number of another line, which ends in these instead.
_TWO_LINES = re.compile(r"/\D*(?:\d\D*){1,3}\Z")

#: Beside digits, blanks and hyphens of any kind.
_BETWEEN = frozenset("()./+\N{FULLWIDTH PLUS SIGN}")

_INTERNATIONAL = "Write it in international form such as +447700900123."


def parse(value: str, *, allow_loopback: bool = False) -> Address:
    """A phone number in E.164. Raises BadAddress."""
    # Costs a noticeable part of a second, and most commands read no number.
    import phonenumbers
    from phonenumbers import ValidationResult

    # Invisible characters come along when a number is copied from a page, and mean nothing.
    written = "".join(c for c in value if unicodedata.category(c) != "Cf").strip()
    if written[:4].lower() == "tel:":
        written = written[4:]
    if _SCIENTIFIC.fullmatch(written):
        raise BadAddress(
            f"{written!r} is a number that a spreadsheet has rounded.",
            remedy="Its digits are lost there: export it anew, with the column as text.",
        )
    for character in written:
        if not _may_stand(character):
            raise BadAddress(
                f"a phone number holds no {character!r}.",
                remedy="Write +, digits and blanks only, without an extension.",
            )
    if _TWO_LINES.search(written):
        raise BadAddress(
            "this is more than one phone number.", remedy="Write one, without a stroke."
        )
    try:
        number = phonenumbers.parse(written)
    except phonenumbers.NumberParseException as e:
        raise BadAddress(
            "this is no phone number in international form.", remedy=_INTERNATIONAL
        ) from e
    found = phonenumbers.is_possible_number_with_reason(number)
    if found != ValidationResult.IS_POSSIBLE:
        raise BadAddress(f"this phone number {_lengths()[found]}.", remedy=_INTERNATIONAL)
    return Address(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def mask(endpoint: str) -> str:
    """Enough of a number for its owner to know it again."""
    return f"{endpoint[:3]}…{endpoint[-2:]}"


@cache
def _lengths() -> Mapping[int, str]:
    from phonenumbers import ValidationResult

    return {
        ValidationResult.INVALID_COUNTRY_CODE: "begins with no country's code",
        ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
        ValidationResult.TOO_SHORT: "has too few digits for its country",
        ValidationResult.INVALID_LENGTH: "has a number of digits that its country does not use",
        ValidationResult.TOO_LONG: "has too many digits for its country",
    }


def _may_stand(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in {"Nd", "Zs", "Pd"} or character in _BETWEEN
