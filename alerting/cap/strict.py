"""What is never guessed: who speaks, whether it is real, and for whom.

Some of it applies to every alert, some only to a submission: how severe, how urgent and when. A
submission's sender is told at once and can correct it, while a feed's alert would be lost.
"""

from __future__ import annotations

import unicodedata

from alerting.cap.report import CapError
from alerting.domain.alert import Alert, Repair

#: More errors than these are not listed in one sentence.
_MOST = 5
#: A name is compared, indexed and logged with everything done to its alert.
LONGEST_NAME = 300
#: The remedy when an alert for the public names recipients.
FOR_WHOM = "Say Restricted or Private in scope, or leave out restriction and addresses."


def refuse_invisible(name: str, text: str, whose: str = "alert") -> None:
    """Raise CapError for a name with invisible characters, which is not the text it looks like, and
    for one that is too long."""
    if len(text) > LONGEST_NAME:
        raise CapError(
            f"The {whose} has a {name} of {len(text):,} characters; at most {LONGEST_NAME} are "
            "taken.",
            remedy="Shorten it.",
        )
    hidden = next((c for c in text if unicodedata.category(c) == "Cf"), None)
    if hidden is not None:
        raise CapError(
            f"The {whose} has an invisible character, U+{ord(hidden):04X}, in its {name}.",
            remedy=f"Write {name} again without it.",
        )


def public_but(alert: Alert) -> Repair | None:
    """The remark on an alert that is public and names recipients; else None.

    An exercise or test is never public, whatever its scope: its `addresses` name rosters.
    """
    named = [name for name in ("restriction", "addresses") if getattr(alert, name)]
    if not alert.for_public or not named:
        return None
    return Repair("scope", f"Public, and yet {' and '.join(named)} given; read as Public")


def refuse_unclear(alert: Alert) -> None:
    """Raise CapError for a submission that leaves open whom it is for, how severe it is or when."""
    whose = f"alert {alert.identifier[:80]!r}"
    if alert.unclear:
        more = len(alert.unclear) - _MOST
        faults = [str(one) for one in alert.unclear[:_MOST]]
        faults += [f"And {more} more."] if more > 0 else []
        raise CapError(f"The {whose} is not clear. {' '.join(faults)}")
    if unclear := public_but(alert):
        said = unclear.what.partition(";")[0]
        raise CapError(f"The {whose} has scope {said}.", remedy=FOR_WHOM)
