"""Previewed: the answer to a dry run: estimates with margins of error, and the texts as sent."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from alerting.audience import FEW
from alerting.audience.zones import Zones
from alerting.channels import registry
from alerting.channels.render import render
from alerting.dispatch.intake.foresee import Foreseen, Hears
from alerting.dispatch.intake.submission import Submitted
from alerting.domain import geometry
from alerting.domain.alert import Alert
from alerting.domain.decision import Reason
from alerting.domain.segments import Segments
from alerting.settings import Settings
from alerting.store.alerts.stored_alerts import StoredAlert

#: Standard deviations of a 95 % confidence interval.
_SPREAD = 1.96
#: Relative error of the estimated size of a sampled audience.
_SIZE_MARGIN = 0.05

#: The most texts shown: those of most people.
_TEXTS = 40
#: The most messages rendered to find them.
_LAID_OUT = 400


Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Number:
    """An estimated count.

    Attributes:
        margin: Of error, in the same unit; 0 when nothing was sampled.
    """

    count: int
    margin: int = 0

    def rounded(self) -> Number:
        """The same, rounded to the nearest ten."""
        return Number(round(self.count, -1), max(self.margin, FEW))

    def __str__(self) -> str:
        return f"{self.count:,}" if not self.margin else f"{self.count:,} ± {self.margin:,}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Extrapolates from a sample to the audience.

    Attributes:
        looked_at: Size of the sample, in people.
        weight: How many people of the audience each of them represents.
    """

    looked_at: int
    weight: float

    @property
    def all(self) -> Number:
        count = self.looked_at * self.weight
        return Number(round(count), math.ceil(count * _SIZE_MARGIN) if self.weight > 1 else 0)

    def of(self, some: int, *, of: int | None = None) -> Number:
        """Estimate a part of the audience, or of its deliveries, from a part of the sample.

        Args:
            some: How many in the sample.
            of: The sample's size in the same unit; None for people.
        """
        looked_at = of or self.looked_at
        if self.weight <= 1 or not looked_at:
            return Number(some)
        share = some / looked_at
        by_chance = _SPREAD * math.sqrt(share * (1 - share) / looked_at) * looked_at * self.weight
        return Number(
            round(some * self.weight), math.ceil(by_chance + some * self.weight * _SIZE_MARGIN)
        )


@dataclass(frozen=True, slots=True)
class Text:
    """One text as it would be sent, and how many deliveries would have it.

    Attributes:
        languages: Of its readers, the most frequent first.
        sms: Its segments; None for other channels.
    """

    channel: str
    languages: tuple[str, ...]
    deliveries: Number
    subject: str
    text: str
    sms: Segments | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a submission would do.

    Attributes:
        submitted: What its answer would be; no such alert exists.
        odd: Every weakness found, as `alerting cap check` lists them.
        people: The size of the audience.
        more: The audience is larger than `people`: counting stopped there.
        few: There are fewer than `FEW` people, and nothing more is disclosed (`discreet`).
        hears: People by how they would be notified.
        channels: People by channel for which they have a usable address.
        languages: People by preferred language.
        untranslated: People for whose language there is no info.
        reasons: Deliveries by outcome and reason; None for an address that cannot be used.
        ends: The alerts it would end or replace.
        silenced_by: The silences that would keep some of its deliveries back.
        area_km2: Area of its polygons and circles, in square kilometres.
    """

    submitted: Submitted
    odd: tuple[str, ...] = ()
    people: Number = Number(0)
    more: bool = False
    few: bool = False
    hears: Mapping[Hears, Number] = field(default_factory=dict)
    channels: Mapping[str, Number] = field(default_factory=dict)
    languages: Mapping[str, Number] = field(default_factory=dict)
    untranslated: Number = Number(0)
    reasons: Mapping[tuple[Hears, Reason | None], Number] = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    silenced_by: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()
    area_km2: float = 0.0
    expires_at: datetime | None = None

    def discreet(self) -> Preview:
        """The same for a principal who may not read the register.

        Fewer than `FEW` people are reported only as few, and larger numbers are rounded: exact
        numbers for two areas that differ by one house would disclose who lives in it. Unchanged
        when no audience was evaluated.
        """
        if self.expires_at is None:
            return self
        if self.people.count >= FEW:
            return replace(
                self,
                people=self.people.rounded(),
                hears=_of_many(self.hears),
                channels=_of_many(self.channels),
                languages=_of_many(self.languages),
                untranslated=self.untranslated.rounded(),
                reasons=_of_many(self.reasons),
                texts=tuple(
                    replace(t, deliveries=t.deliveries.rounded())
                    for t in self.texts
                    if t.deliveries.count >= FEW
                ),
            )
        return Preview(
            self.submitted,
            odd=self.odd,
            few=True,
            ends=self.ends,
            silenced_by=self.silenced_by,
            area_km2=self.area_km2,
            expires_at=self.expires_at,
        )

    def to_json(self) -> dict[str, Any]:
        answer = self.submitted.to_json()
        if self.submitted.created:
            # There is no alert by this id.
            del answer["id"]
        return {
            "dry_run": True,
            **answer,
            "odd": list(self.odd),
            "people": {"fewer_than": FEW} if self.few else asdict(self.people),
            "more": self.more,
            "hears": {how.name.lower(): asdict(n) for how, n in self.hears.items()},
            "channels": {channel: asdict(n) for channel, n in self.channels.items()},
            "languages": {language: asdict(n) for language, n in self.languages.items()},
            "untranslated": asdict(self.untranslated),
            "reasons": [
                {
                    "hears": how.name.lower(),
                    "reason": reason.value if reason else "no-address",
                    "deliveries": asdict(n),
                    "sentence": sentence(reason),
                }
                for (how, reason), n in self.reasons.items()
            ],
            "ends": list(self.ends),
            "silenced_by": list(self.silenced_by),
            "texts": [asdict(t) for t in self.texts],
            "area_km2": round(self.area_km2, 1),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
        }


def _of_many(numbers: Mapping[Key, Number]) -> dict[Key, Number]:
    """The numbers of at least `FEW`, rounded."""
    return {key: n.rounded() for key, n in numbers.items() if n.count >= FEW}


def sentence(reason: Reason | None) -> str:
    """The reason as a sentence for a coordinator; None: the address cannot be used."""
    return reason.sentence if reason else "None of their addresses can be used."


def area_km2(alert: Alert) -> float:
    """The approximate area of an alert's polygons and circles, in square kilometres."""
    zones = Zones(alert).zones
    drawn = geometry.union([z.polygons for z in zones])
    circles = {c for z in zones for c in z.circles}
    return geometry.area_km2(drawn) + sum(geometry.cap_km2(c.radius_km) for c in circles)


def texts(
    alert: Alert,
    stored: StoredAlert,
    foreseen: Sequence[Foreseen],
    languages: Mapping[int, str],
    spread: Spread,
    settings: Settings,
) -> tuple[Text, ...]:
    """The texts that would be sent now or later, those with most deliveries first.

    Args:
        foreseen: The deliveries of the sample.
        languages: The preferred language of each citizen in it, by id.
        spread: Extrapolates from it.
    """
    groups = Counter(
        (f.channel, f.delivery.info_no, f.delivery.area_no, languages[f.delivery.citizen_id],
         f.time_zone, bool(f.decision and f.decision.reason is Reason.PARTLY_ENDED))
        for f in foreseen
        if f.hears is not Hears.NOTHING
    )  # fmt: skip
    counts: Counter[tuple[str, str, str]] = Counter()
    read_in: dict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    link = f"{settings.public_url}/{stored.code}"
    for key, count in groups.most_common(_LAID_OUT):
        channel, info_no, area_no, language, time_zone, still = key
        made = render(
            alert,
            info_no=info_no,
            area_no=area_no,
            channel=channel,
            language=language,
            link=link,
            still=still,
            time_zone=time_zone,
        )
        same = (channel, made.subject, made.text)
        counts[same] += count
        read_in[same][language] += count
    return tuple(
        Text(
            channel,
            tuple(language for language, _ in read_in[channel, subject, said].most_common()),
            spread.of(count, of=len(foreseen)),
            subject,
            said,
            measure(said) if (measure := registry.spec(channel).measure) else None,
        )
        for (channel, subject, said), count in counts.most_common(_TEXTS)
    )
