"""What a submission is refused for: its size, and what is never guessed about it.

No document costs more to read, store and send than a large one of those that are issued. Never
guessed is who speaks, whether it is real, and for whom: some of it for every alert, some only for a
submission, whose sender is told at once and can correct it, while a feed's alert would be lost.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from alerting.cap.report import CapError
from alerting.domain.alert import Alert, Info, Repair

#: Limits counted in bytes, before parsing. National warnings in nine languages reach a tenth of
#: them; a real coast in full detail has nearly as many numbers.
MOST_ELEMENTS = 8_000
MOST_ATTRIBUTES = 10_000
MOST_ESCAPES = 50_000
MOST_COMMENTS = 10_000
MOST_CONTROLS = 10_000
MOST_NUMBERS = 190_000
#: In JSON: separators of values, and openings of containers.
MOST_COMMAS = 200_000
MOST_KEYS = 20_000
MOST_OBJECTS = 40_000

MOST_INFOS = 100
MOST_AREAS = 3_000
MOST_PLACES = 1_000
MOST_SHAPES = 1_000
MOST_CODES = 4_000
MOST_VALUES = 4_000
MOST_REFERENCES = 500
MOST_SENDERS = 50
MOST_NAMES = 2_000

#: Characters of a value such as an areaDesc or a geocode, and of all texts together.
LONGEST_VALUE = 20_000
MOST_TEXT = 300_000

#: Texts for people, limited only in total.
_LONG = frozenset({"description", "instruction", "note"})

#: More errors than these are not listed in one sentence.
_MOST_FAULTS = 5
#: A name is compared, indexed and logged with everything done to its alert.
LONGEST_NAME = 300
#: The remedy when an alert for the public names recipients.
FOR_WHOM = "Say Restricted or Private in scope, or leave out restriction and addresses."

_CONTROLS = bytes({*range(32)} - {*b"\t\n\r"})
#: Digits become 0, separators of numbers a blank.
_STARTS = bytes.maketrans(b'123456789\t\n\r,">;', b"000000000       ")


def refuse_costly(data: bytes) -> None:
    """Raise CapError for bytes that would be expensive to parse, before anything parses them."""
    plain = data.replace(b"\0", b"") if b"\0" in data[:4] else data
    if plain.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        _most(plain.count(b","), MOST_COMMAS, "values")
        _most(plain.count(b'":'), MOST_KEYS, "values with a name")
        _most(plain.count(b"{") + plain.count(b"["), MOST_OBJECTS, "objects and lists")
    else:
        _most(plain.count(b"</") + plain.count(b"/>"), MOST_ELEMENTS, "elements")
        _most(plain.count(b'="') + plain.count(b"='"), MOST_ATTRIBUTES, "attributes")
        _most(plain.count(b"&"), MOST_ESCAPES, "escapes")
        _most(plain.count(b"<!") + plain.count(b"<?"), MOST_COMMENTS, "comments")
        controls = len(plain) - len(plain.translate(None, _CONTROLS))
        _most(controls, MOST_CONTROLS, "control characters")
    # Without signs each number begins with a blank and a digit.
    _most(plain.translate(_STARTS, b"+-").count(b" 0"), MOST_NUMBERS, "numbers")


def refuse_large(alert: Alert) -> None:
    """Raise CapError for an alert with more of something than can be sent or stored."""
    areas = [a for i in alert.infos for a in i.areas]
    _most(len(alert.references) + len(alert.loose_references), MOST_REFERENCES, "references")
    _most(len({r.sender for r in alert.references}), MOST_SENDERS, "senders in its references")
    _most(
        len(alert.addresses) + len(alert.incidents) + len(alert.codes),
        MOST_NAMES,
        "addresses, incidents and codes",
    )
    _most(len(alert.infos), MOST_INFOS, "infos")
    _most(len(areas), MOST_AREAS, "areas")
    rings: dict[object, int] = {}
    places: set[object] = set()
    for area in areas:
        numbers = tuple(rings.setdefault(p.points, len(rings)) for p in area.polygons)
        places.add((numbers, area.circles, area.geocodes))
    circles = {c for a in areas for c in a.circles}
    _most(len(places), MOST_PLACES, "different areas")
    _most(len(rings) + len(circles), MOST_SHAPES, "polygons and circles")
    _most(len({g for a in areas for g in a.geocodes}), MOST_CODES, "geocodes")
    _most(
        sum(len(i.parameters) + len(i.event_codes) + len(i.resources) for i in alert.infos),
        MOST_VALUES,
        "parameters, event codes and resources",
    )
    total = 0
    for where, text in _texts(alert):
        total += len(text)
        if len(text) > LONGEST_VALUE and where not in _LONG:
            raise CapError(
                f"The alert has a {where} of {len(text):,} characters; at most "
                f"{LONGEST_VALUE:,} are taken.",
                remedy="Shorten it, or say it in several.",
            )
    _most(total, MOST_TEXT, "characters in its texts")


def _texts(alert: Alert) -> Iterator[tuple[str, str]]:
    """Every text with the name of its element."""
    yield "note", alert.note or ""
    yield "restriction", alert.restriction or ""
    yield "source", alert.source or ""
    yield from (("address", a) for a in alert.addresses)
    yield from (("incident", i) for i in alert.incidents)
    yield from (("code", c) for c in alert.codes)
    for info in alert.infos:
        yield from _texts_of(info)


def _texts_of(info: Info) -> Iterator[tuple[str, str]]:
    for name in ("event", "headline", "description", "instruction", "web", "contact", "audience"):
        yield name, getattr(info, name) or ""
    yield "senderName", info.sender_name or ""
    yield "language", info.language
    for pair in (*info.parameters, *info.event_codes):
        yield "parameter", pair.name
        yield "parameter", pair.value
    for resource in info.resources:
        # `derefUri` holds a picture and is neither compared nor sent.
        yield "resource", resource.resource_desc
        yield "uri", resource.uri or ""
    for area in info.areas:
        yield "areaDesc", area.area_desc
        for code in area.geocodes:
            yield "geocode", code.name
            yield "geocode", code.value


def _most(found: int, most: int, what: str) -> None:
    if found > most:
        raise CapError(
            f"The alert has {found:,} {what}; at most {most:,} are taken.",
            remedy="Say it in several alerts, or simplify it.",
        )


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
        more = len(alert.unclear) - _MOST_FAULTS
        faults = [str(one) for one in alert.unclear[:_MOST_FAULTS]]
        faults += [f"And {more} more."] if more > 0 else []
        raise CapError(f"The {whose} is not clear. {' '.join(faults)}")
    if unclear := public_but(alert):
        said = unclear.what.partition(";")[0]
        raise CapError(f"The {whose} has scope {said}.", remedy=FOR_WHOM)
