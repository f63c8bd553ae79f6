"""Hypothesis strategies for any alert CAP 1.2 can say; `alerts()` is the one to use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

from hypothesis import strategies as st

from alerting.domain.alert import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Polygon,
    Reference,
    Repair,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)

T = TypeVar("T")

# Surrogates, the other control characters, U+FFFE and U+FFFF cannot stand in XML.
_CHARACTERS = st.one_of(
    st.characters(
        codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"
    ),
    st.sampled_from("\n\t &<>\"'éßŁ日本😀"),
)
_BARE = st.characters(codec="ascii", categories=("L", "N"), include_characters="-_.:@/")


def texts(min_size: int = 0, max_size: int = 40) -> st.SearchStrategy[str]:
    """Trimmed texts; "" only where min_size is 0."""
    return (
        st.text(_CHARACTERS, min_size=min_size, max_size=max_size)
        .map(str.strip)
        .filter(lambda text: len(text) >= min_size)
    )


def optional(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


def tuples(strategy: st.SearchStrategy[T], most: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


names = st.text(_BARE, min_size=1, max_size=30)
#: Names of `addresses` and `incidents`: blanks are quoted, quotation marks cannot be said.
quotable = texts(1, 20).filter(lambda text: '"' not in text)
languages = st.from_regex(r"[a-z]{2,3}(-[A-Z]{2})?", fullmatch=True)
uris = names.map(lambda name: "https://example.org/" + name.replace(":", "").replace("@", ""))
moments = st.builds(
    lambda at, minutes: at.replace(tzinfo=timezone(timedelta(minutes=minutes)) if minutes else UTC),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 (made aware above)
        lambda at: at.replace(microsecond=0)
    ),
    st.integers(-12 * 4, 14 * 4).map(lambda quarter: quarter * 15),
)
latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
pairs = st.builds(NamedValue, texts(), texts())
references = st.builds(Reference, names, names, moments)
circles = st.builds(Circle, latitudes, longitudes, st.floats(0, 20_000))


def _ring(points: list[tuple[float, float]]) -> Polygon:
    return Polygon((*points, points[0]))


polygons = st.lists(st.tuples(latitudes, longitudes), min_size=3, max_size=8).map(_ring)
resources = st.builds(
    Resource,
    resource_desc=texts(),
    mime_type=texts(),
    size=optional(st.integers(0, 10**12)),
    uri=optional(uris),
    deref_uri=optional(texts(1)),
    digest=optional(names),
)
areas = st.builds(
    Area,
    area_desc=texts(),
    polygons=tuples(polygons),
    circles=tuples(circles),
    geocodes=tuples(pairs),
    altitude=optional(st.floats(-2000, 100_000)),
    ceiling=optional(st.floats(-2000, 100_000)),
)
infos = st.builds(
    Info,
    categories=st.lists(st.sampled_from(Category), min_size=1, max_size=3).map(tuple),
    event=texts(1),
    urgency=st.sampled_from(Urgency),
    severity=st.sampled_from(Severity),
    certainty=st.sampled_from(Certainty),
    language=languages,
    response_types=tuples(st.sampled_from(ResponseType)),
    audience=optional(texts(1)),
    event_codes=tuples(pairs),
    effective=optional(moments),
    onset=optional(moments),
    expires=optional(moments),
    sender_name=optional(texts(1)),
    headline=optional(texts(1, 200)),
    description=optional(texts(1)),
    instruction=optional(texts(1)),
    web=optional(uris),
    contact=optional(texts(1)),
    parameters=tuples(pairs),
    resources=tuples(resources, 2),
    areas=tuples(areas, 2),
)


def _alerts(least: int, *types: MsgType) -> st.SearchStrategy[Alert]:
    return st.builds(
        Alert,
        identifier=names,
        sender=names,
        sent=moments,
        status=st.sampled_from(Status),
        msg_type=st.sampled_from(types),
        scope=st.sampled_from(Scope),
        source=optional(texts(1)),
        restriction=optional(texts(1)),
        addresses=tuples(quotable),
        codes=tuples(texts(1)),
        note=optional(texts(1)),
        references=tuples(references),
        incidents=tuples(quotable),
        infos=st.lists(infos, min_size=least, max_size=2).map(tuple),
        repairs=tuples(st.builds(Repair, texts(1), texts(1)), 2),
        remarks=tuples(st.builds(Repair, texts(1), texts(1)), 2),
    )


def alerts() -> st.SearchStrategy[Alert]:
    """Any alert: Alert and Update with at least one info, the other types with or without."""
    return _alerts(1, MsgType.ALERT, MsgType.UPDATE) | _alerts(
        0, MsgType.CANCEL, MsgType.ACK, MsgType.ERROR
    )
