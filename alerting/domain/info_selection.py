"""What an alert says to one citizen: one of its infos, or several about different dangers.

CAP lets one alert describe several events. A citizen affected by two of them gets both in one
message. Such a combination has a number of its own in place of an info's number, so whatever is
evaluated, rendered or stored by info number works for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from alerting.domain.alert import Alert, Info, ResponseType, Urgency

#: Only infos numbered below this can be combined: a number is a smallint in the ledger.
_TOGETHER = 15

_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "؟")
_URGENCIES = list(Urgency)


def together(nos: Sequence[int]) -> int:
    """The number for these infos combined; the first is the main one.

    Infos whose number is too high to be combined are left out.
    """
    few = [no for no in nos if no < _TOGETHER]
    if len(few) < 2 or nos[0] not in few:
        return nos[0]
    return -1 - sum(1 << no for no in few)


def numbers(alert: Alert, info_no: int) -> list[int]:
    """The infos of a number, the most severe live one first; none for an unknown
    number."""
    if info_no >= -1:
        return [info_no] if 0 <= info_no < len(alert.infos) else []
    bits = -1 - info_no
    found = [no for no in range(len(alert.infos)) if bits >> no & 1]
    ordered = sorted(found, key=lambda no: weight(alert, alert.infos[no]))
    return ordered if len(ordered) > 1 else []


def weight(alert: Alert, info: Info) -> tuple[bool, int]:
    """Orders infos: a live danger before the end of one, then by severity."""
    return alert.ends_in(info), info.severity.rank


def info_for(alert: Alert, info_no: int) -> Info | None:
    """The content of an alert under this number; None when it has none."""
    infos = [alert.infos[no] for no in numbers(alert, info_no)]
    return _joined(alert, infos) if len(infos) > 1 else next(iter(infos), None)


def _joined(alert: Alert, infos: Sequence[Info]) -> Info:
    """The first info with what the others add; what is over adds only its words."""
    first = infos[0]
    live = [i for i in infos if not alert.ends_in(i)] or infos
    responses = dict.fromkeys(r for i in live for r in i.response_types)
    if len(responses) > 1:
        responses.pop(ResponseType.NONE, None)
    return replace(
        first,
        categories=tuple(dict.fromkeys(c for i in infos for c in i.categories)),
        urgency=min((i.urgency for i in live), key=_URGENCIES.index),
        response_types=tuple(responses),
        onset=_bound(min, (i.onset for i in live)),
        expires=_bound(max, (i.expires for i in live)),
        headline=_sentences(i.headline or i.event for i in infos),
        description="\n".join(i.description for i in infos if i.description) or None,
        instruction="\n".join(i.instruction for i in infos if i.instruction) or None,
        parameters=tuple(dict.fromkeys(p for i in infos for p in i.parameters)),
    )


def _bound(
    pick: Callable[[list[datetime]], datetime], times: Iterable[datetime | None]
) -> datetime | None:
    """The first or last of these times; None when one of them is open."""
    every = list(times)
    known = [at for at in every if at is not None]
    return pick(known) if len(known) == len(every) else None


def _sentences(texts: Iterable[str]) -> str:
    """The texts behind one another, each ended as a sentence but for the last."""
    *before, last = (t.strip() for t in texts)
    return " ".join([*(t if t.endswith(_SENTENCE_ENDS) else f"{t}." for t in before), last])
