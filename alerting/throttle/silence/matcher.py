"""Matchers: what an alert must say for a silence to apply to it.

Alertmanager's four comparisons over CAP's own names. Case is ignored. A missing value is the empty
text, so `source=` matches an alert without source. Of repeated values, such as categories, `=` and
`~` need one that fits, `!=` and `!~` need that none does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from alerting.domain.alert import (
    Alert,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Severity,
    Urgency,
)
from alerting.domain.nearest import nearest
from alerting.errors import BadInput
from alerting.throttle.hazard import hazard_of
from alerting.throttle.silence import pattern


class Op(StrEnum):
    IS = "="
    IS_NOT = "!="
    LIKE = "~"
    UNLIKE = "!~"


#: CAP's lists of values; here a misspelt value would silence nothing without a word.
_LISTS: dict[str, type[StrEnum]] = {
    "category": Category,
    "urgency": Urgency,
    "certainty": Certainty,
    "severity": Severity,
    "msgType": MsgType,
}
_PLAIN = ("sender", "event", *_LISTS, "hazard", "identifier", "source")
_NAMED = ("parameter", "eventCode", "geocode")
_MOST = 300

_TEXT = re.compile(r"\s*([A-Za-z]+(?::[^=!~]+?)?)\s*(!=|!~|=~|=|~)\s*(.*?)\s*", re.DOTALL)

#: No alert contains these; a pattern that matches one of them matches everything.
_PROBES = ("", "\0", "x y")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One comparison. Raises BadInput for a field, value or pattern that means nothing.

    Attributes:
        field: One of sender, event, category, urgency, certainty, severity, hazard, msgType,
            identifier, source, or parameter:NAME, eventCode:NAME, geocode:NAME.
    """

    field: str
    op: Op
    value: str

    def __post_init__(self) -> None:
        kind, _, name = self.field.partition(":")
        if not (self.field in _PLAIN or (kind in _NAMED and name)):
            raise BadInput(f"No alert has a field {self.field!r}.", remedy=_meant(kind))
        if len(self.field) > _MOST or len(self.value) > _MOST:
            raise BadInput(f"What is said of {kind} is longer than {_MOST} characters.")
        if not storable(self.field + self.value):
            raise BadInput(f"What is said of {kind} holds what is no text.")
        if self.op in (Op.LIKE, Op.UNLIKE):
            pattern.compiled(self.value)
        elif self.field in _LISTS:
            known = {v.casefold() for v in _LISTS[self.field]}
            if self.value.casefold() not in known:
                raise BadInput(
                    f"{self.field} is never {self.value!r}.",
                    remedy=f"It is one of {', '.join(_LISTS[self.field])}.",
                )

    @classmethod
    def parse(cls, text: str) -> Matcher:
        r"""Read `event=Flood`, `severity!=Minor`, `sender~.*@example\.org`, `geocode:UGC!~X.*`.

        `=~` is taken for `~`.

        Raises:
            BadInput
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise BadInput(
                f"{text[:80]!r} is no matcher.",
                remedy="Write FIELD=VALUE, FIELD!=VALUE, FIELD~PATTERN or FIELD!~PATTERN.",
            )
        field, op, value = found.groups()
        return cls(field, Op("~" if op == "=~" else op), value)

    def __str__(self) -> str:
        return f"{self.field}{self.op}{self.value}"

    @property
    def narrows(self) -> bool:
        """True when it requires an alert to contain something particular."""
        if self.op is Op.IS:
            return self.value != ""
        return self.op is Op.LIKE and not any(pattern.matches(self.value, p) for p in _PROBES)

    def fits(self, alert: Alert, info: Info, area_no: int) -> bool:
        """True when this info, in this area, meets the matcher."""
        values = _values(self.field, alert, info, area_no) or [""]
        match self.op:
            case Op.IS | Op.IS_NOT:
                wanted = self.value.casefold()
                found = any(v.casefold() == wanted for v in values)
            case Op.LIKE | Op.UNLIKE:
                # A text too long to compare never counts as silenced.
                if any(len(v) > pattern.MAX_TEXT for v in values):
                    return False
                found = any(pattern.matches(self.value, v) for v in values)
        return found != (self.op in (Op.IS_NOT, Op.UNLIKE))


def storable(text: str) -> bool:
    """True for text that PostgreSQL accepts: no null character, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _values(field: str, alert: Alert, info: Info, area_no: int) -> list[str]:
    kind, _, name = field.partition(":")
    match kind:
        case "sender" | "identifier":
            return [str(getattr(alert, kind))]
        case "source":
            return [alert.source or ""]
        case "msgType":
            return [alert.msg_type.value]
        case "category":
            return [c.value for c in info.categories]
        case "hazard":
            return [hazard_of(info)]
        case "parameter":
            return _named(info.parameters, name)
        case "eventCode":
            return _named(info.event_codes, name)
        case "geocode":
            areas = info.areas[area_no : area_no + 1] if area_no >= 0 else ()
            return [value for area in areas for value in _named(area.geocodes, name)]
        case _:
            return [str(getattr(info, kind))]


def _named(pairs: tuple[NamedValue, ...], name: str) -> list[str]:
    return [p.value for p in pairs if p.name.casefold() == name.casefold()]


def _meant(kind: str) -> str:
    fields = (*_PLAIN, *(f"{n}:NAME" for n in _NAMED))
    close = nearest(kind, fields)
    return f"Did you mean {close}?" if close else f"Use {', '.join(fields)}."
