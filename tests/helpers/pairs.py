"""Pairs of alerts from `pairs.toml`, and what the throttle decides of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from alert_examples import AT, alert, box, info
from event_examples import shaped

from alerting.domain.alert import Alert, Area, Category, Info, NamedValue, Severity, Status
from alerting.domain.version import Version
from alerting.throttle.events import placing, referring
from alerting.throttle.events.placing import Candidate, Linked
from alerting.throttle.events.same import Pool, signature
from alerting.throttle.policy.parse import default_policy

AREAS = {
    "Weirshire": shaped("Weirshire", box(50, 8, 51, 9)),
    "Weir Valley": shaped("Weir Valley", box(50.2, 8.2, 50.6, 8.6)),
    "Eastshire": shaped("Eastshire", box(50, 9.01, 51, 10)),
    "Farland": shaped("Farland", box(-10, 100, -9, 101)),
    "code 7": Area("district seven", geocodes=(NamedValue("district", "7"),)),
}


@dataclass(frozen=True)
class Pair:
    """decided: copy, ask or not."""

    about: str
    senders: int
    first: dict[str, Any]
    second: dict[str, Any]
    decided: str
    reason: str


def pairs() -> list[Pair]:
    """All of the table."""
    text = Path(__file__).with_name("pairs.toml").read_text("utf-8")
    return [Pair(**row) for row in tomllib.loads(text)["pair"]]


def table() -> str:
    """All of them as docs/copies.md shows them."""
    lines = ["| danger | senders | first | second | is | because |", "|---|---|---|---|---|---|"]
    for p in pairs():
        first, second = _shown(p.first), _shown(p.second)
        lines.append(f"| {p.about} | {p.senders} | {first} | {second} | {p.decided} | {p.reason} |")
    return "\n".join(lines) + "\n"


def _shown(said: dict[str, Any]) -> str:
    more = [f"+{said['minutes']} min"] if "minutes" in said else []
    more += [f"begins +{said['onset']} min"] if said.get("onset") else []
    more += [f"in force {said['hours']} h"] if "hours" in said else []
    more += [str(said[name]) for name in ("severity", "status", "area", "incident") if name in said]
    more += ["refers to the first"] if "refers" in said else []
    more += [said["also"]["text"]] if "also" in said else []
    return f"{said['event']}: {said['text']}" + (f" ({', '.join(more)})" if more else "")


def decide(pair: Pair, known: Iterable[Alert] = ()) -> tuple[str, str]:
    """What the throttle makes of a pair and its reason; known: alerts of other events before."""
    first, second = _alerts(pair)
    older = Version("1", "1", "1", first.triple, first.sent, first.sent + timedelta(hours=6))
    found = referring.referred(second, [older], may_end=lambda _sender: True)
    pool: Pool = Pool()
    for one in known:
        pool.add(signature(one), sender=one.sender)
    pool.add(signature(first), "1", sender=first.sender)
    placed = placing.place(
        signature(second),
        [Linked(v.thread, v.event) for v in found.versions],
        [Candidate("1", "1", first.sent, signature(first), first.ends)],
        pool,
        default_policy().same_event,
    )
    if placed.question is not None:
        return "ask", placed.question[1].sentence
    return ("copy", placed.reason) if placed.event else ("not", "")


def _alerts(pair: Pair) -> tuple[Alert, Alert]:
    first = _alert(pair.first, "first", "county@example.org")
    sender = first.sender if pair.senders == 1 else "police@example.org"
    second = _alert(pair.second, "second", sender)
    if pair.second.get("refers"):
        second = alert(*second.infos, sender=sender, sent=second.sent, references=(first.triple,))
    return first, second


def _alert(said: dict[str, Any], identifier: str, sender: str) -> Alert:
    infos = [_info(said, said)] + ([_info(said["also"], said)] if "also" in said else [])
    return alert(
        *infos,
        identifier=identifier,
        sender=sender,
        sent=AT + timedelta(minutes=said.get("minutes", 0)),
        status=Status(said.get("status", "Actual")),
        incidents=(said["incident"],) if "incident" in said else (),
    )


def _info(text: dict[str, Any], said: dict[str, Any]) -> Info:
    sent = AT + timedelta(minutes=said.get("minutes", 0))
    return info(
        event=text["event"],
        headline=text["event"],
        description=text["text"],
        language=text.get("language", "en"),
        categories=(Category.SAFETY,),
        event_codes=(),
        parameters=(),
        severity=Severity(said.get("severity", "Severe")),
        onset=AT + timedelta(minutes=said["onset"]) if "onset" in said else None,
        expires=sent + timedelta(hours=said.get("hours", 6)),
        areas=(AREAS[said.get("area", "Weirshire")],),
    )
