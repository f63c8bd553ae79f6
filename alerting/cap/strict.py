"""What is never guessed: who speaks, whether it is real, and for whom.

Some of it holds wherever an alert comes from, and some only for a submission: how grave, how
urgent and when. Its sender is told at once and can say it again, while a feed's alert would be
lost.
"""

from __future__ import annotations

import unicodedata

from alerting.cap.errors import CapError
from alerting.domain.alert import Alert, Repair

#: More faults than these are not listed in one sentence.
_MOST = 5
#: A name is compared, indexed and written beside everything that is done with its alert.
LONGEST_NAME = 300
#: What to do where an alert for the public names for whom it is.
FOR_WHOM = "Say Restricted or Private in scope, or leave out restriction and addresses."


def refuse_invisible(name: str, text: str, whose: str = "alert") -> None:
    """Raise CapError for a text with characters nobody sees: it is not the text it looks like; and
    for one that is too long to be a name."""
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
    """What to remark on an alert that is for the public and names for whom it is; else None.

    An exercise or test is never for the public, whatever its scope: its `addresses` name rosters.
    """
    named = [name for name in ("restriction", "addresses") if getattr(alert, name)]
    if not alert.for_public or not named:
        return None
    return Repair("scope", f"Public, and yet {' and '.join(named)} given; read as Public")


def refuse_unclear(alert: Alert) -> None:
    """Raise CapError for a submission that leaves it to us for whom it is, how grave or when."""
    whose = f"alert {alert.identifier[:80]!r}"
    if alert.unclear:
        more = len(alert.unclear) - _MOST
        faults = [str(one) for one in alert.unclear[:_MOST]]
        faults += [f"And {more} more."] if more > 0 else []
        raise CapError(f"The {whose} is not clear. {' '.join(faults)}")
    if unclear := public_but(alert):
        said = unclear.what.partition(";")[0]
        raise CapError(f"The {whose} has scope {said}.", remedy=FOR_WHOM)
