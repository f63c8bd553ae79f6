"""One line of a register's CSV file becomes a citizen, or a sentence that says why it cannot.

The columns are documented in docs/citizens-csv.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import time
from functools import lru_cache
from zoneinfo import available_timezones

from alerting.audience.bad_row import BadRow
from alerting.audience.h3_cover import cell_of
from alerting.channels import registry
from alerting.channels.spec import BadAddress
from alerting.domain.language import well_formed
from alerting.errors import BadInput
from alerting.store.citizens.import_citizens import RegisterAddress, RegisterPlace, RegisterRow

REQUIRED = ("ref",)
_COLUMNS = (
    "ref", "language", "time_zone", "quiet", "channels", "lat", "lon", "radius_m", "places",
    "geocodes", "groups",
)  # fmt: skip
_CONSENT = ("consent", "verified")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_MAX_RADIUS_M = 100_000


def columns() -> tuple[str, ...]:
    """What a header may name: among others a column for the addresses of each channel."""
    return (*_COLUMNS, *registry.names(), *_CONSENT)


def check_header(header: list[str]) -> None:
    """Raises BadInput when a needed column is missing or one is unknown or doubled."""
    missing = [c for c in REQUIRED if c not in header]
    unknown = [c for c in header if c not in columns()]
    doubled = {c for c in header if header.count(c) > 1}
    problems = [
        *(f"the column {c!r} is missing" for c in missing),
        *(f"there is no column {c!r}" for c in unknown if c),
        *("one of them has no name" for c in unknown[:1] if "" in unknown),
        *(f"the column {c!r} comes twice" for c in sorted(doubled) if c),
    ]
    if problems:
        raise BadInput(
            f"The header line is wrong: {'; '.join(problems)}.",
            remedy=_cause(header) or f"Columns are {', '.join(columns())}; only ref must be there.",
        )


def _cause(header: list[str]) -> str:
    """What most likely happened to a header; empty where nothing is known."""
    if len(header) == 1:
        for name, mark in (("semicolons", ";"), ("tabs", "\t"), ("bars", "|")):
            if {c.strip().lower() for c in header[0].split(mark)} & set(columns()[1:]):
                return f"Its columns are separated by {name}: save it with commas (as CSV UTF-8)."
    if all(c.strip().lower() in columns() for c in header):
        return "Write the columns in small letters."
    if "" in header:
        return "It ends with a comma, or has an empty column: take that out of every line."
    return ""


def read_row(line: Mapping[str, str], *, loopback_push: bool = False) -> RegisterRow:
    """The citizen of one line.

    Raises:
        BadRow: Naming the column and what it takes.
    """
    for column, value in line.items():
        _visible(column, value.strip())
    ref = line.get("ref", "").strip()
    if not ref:
        raise BadRow("ref: is empty.", remedy="Every citizen needs the register's own key.")
    language = line.get("language", "").strip() or "en"
    if not well_formed(language):
        raise BadRow(f"language: {language!r} is no language tag such as en or pt-BR.")
    quiet_from, quiet_to = _quiet(line.get("quiet", "").strip())
    channels = _words(line, "channels")
    _known("channels", channels)
    return RegisterRow(
        ref=ref,
        language=language,
        time_zone=_zone(line.get("time_zone", "").strip() or "UTC"),
        quiet_from=quiet_from,
        quiet_to=quiet_to,
        channels=channels,
        groups=_words(line, "groups"),
        addresses=_addresses(line, loopback_push=loopback_push),
        places=_places(line),
        geocodes=_geocodes(line.get("geocodes", "")),
        hash=hashlib.sha256(json.dumps(dict(line), sort_keys=True).encode()).digest(),
    )


#: Names of places may need invisible characters to be written well.
_MAY_HOLD_INVISIBLE = frozenset({"places"})


def _visible(column: str, value: str) -> None:
    """Raise BadRow for invisible characters, by which two keys or addresses may differ."""
    if value.isascii() and value.isprintable():
        return
    spec = registry.spec(column) if column in registry.names() else None
    drops_invisible = spec is not None and spec.drops_invisible
    for c in value:
        kind = unicodedata.category(c)
        if "\udc80" <= c <= "\udcff":
            byte = bytes([ord(c) - 0xDC00])
            like = byte.decode("cp1252", "replace")
            raise BadRow(
                f"{column}: holds the byte 0x{byte.hex().upper()}, which is no UTF-8 "
                f"({like} in Windows-1252).",
                remedy="Save the file as UTF-8 (in a spreadsheet: CSV UTF-8).",
            )
        hidden = kind == "Cf" and column not in _MAY_HOLD_INVISIBLE and not drops_invisible
        if hidden or (kind == "Cc" and not (spec is not None and spec.multiline)):
            name = unicodedata.name(c, "a control character")
            raise BadRow(
                f"{column}: holds the invisible character U+{ord(c):04X} ({name}).",
                remedy="Take it out.",
            )


def _words(line: Mapping[str, str], column: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.get(column, "").split()))


def _known(column: str, channels: tuple[str, ...]) -> None:
    for c in channels:
        if c not in registry.names():
            raise BadRow(f"{column}: there is no channel {c!r}; use {', '.join(registry.names())}.")


def _addresses(line: Mapping[str, str], *, loopback_push: bool) -> tuple[RegisterAddress, ...]:
    consent, verified = _words(line, "consent"), _words(line, "verified")
    _known("consent", consent)
    _known("verified", verified)
    found = []
    for spec in registry.specs():
        channel, value = spec.name, line.get(spec.name, "").strip()
        if not value:
            continue
        try:
            address = spec.parse_address(value, allow_loopback=loopback_push)
        except BadAddress as e:
            raise BadRow(f"{channel}: {e.detail}", remedy=e.remedy) from e
        found.append(
            RegisterAddress(
                channel,
                address.endpoint,
                consent=not consent or channel in consent,
                verified=not verified or channel in verified,
                keys=dict(address.keys),
                verified_anew=channel in verified,
                consented_anew=channel in consent,
            )
        )
    return tuple(found)


def _quiet(value: str) -> tuple[time | None, time | None]:
    if not value:
        return None, None
    match = _QUIET.fullmatch(value)
    if match is None:
        raise BadRow(f"quiet: {value!r} is no span such as 22:00-07:00.")
    h1, m1, h2, m2 = map(int, match.groups())
    return time(h1, m1), time(h2, m2)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """Time zones of inhabited places."""
    return frozenset(available_timezones() - {"Factory", "localtime", "posixrules"})


@lru_cache(maxsize=1024)
def _zone(name: str) -> str:
    if name in _zones():
        return name
    wanted = name.casefold().replace(" ", "_")
    meant = [z for z in _zones() if wanted in {z.casefold(), z.rpartition("/")[2].casefold()}]
    raise BadRow(
        f"time_zone: there is no zone {name!r}.",
        remedy=f"Write one such as {min(meant, default='Europe/Paris')}.",
    )


def _places(line: Mapping[str, str]) -> tuple[RegisterPlace, ...]:
    places = []
    lat, lon = line.get("lat", "").strip(), line.get("lon", "").strip()
    if lat or lon:
        places.append(_place("home", lat, lon, line.get("radius_m", "").strip()))
    for part in filter(None, (p.strip() for p in line.get("places", "").split(";"))):
        name, colon, where = part.partition(":")
        numbers = [n.strip() for n in where.split(",")]
        if not colon or len(numbers) not in {2, 3}:
            raise BadRow(f"places: {part!r} is not name:lat,lon or name:lat,lon,radius.")
        places.append(_place(name.strip() or "place", *numbers))
    return tuple(places)


def _place(name: str, lat: str, lon: str, radius: str = "") -> RegisterPlace:
    for value in (lat, lon, radius or "0"):
        if not _NUMBER.fullmatch(value):
            comma = re.fullmatch(r"[+-]?\d+,\d+", value)
            raise BadRow(
                f"{name}: {value!r} is no number of degrees or metres.",
                remedy="Write a decimal point." if comma else "Write it as 54.52.",
            )
    y, x, r = float(lat), float(lon), float(radius or 0)
    if not (-90 <= y <= 90 and -180 <= x <= 180):
        raise BadRow(f"{name}: {lat}, {lon} is no place on earth; latitude comes first.")
    if not 0 <= r <= _MAX_RADIUS_M:
        raise BadRow(f"{name}: a radius is 0 to {_MAX_RADIUS_M:,} metres, not {radius}.")
    return RegisterPlace(name, y, x, r, cell_of(y, x))


def _geocodes(value: str) -> tuple[tuple[str, str], ...]:
    codes = []
    for part in filter(None, (p.strip() for p in value.split(";"))):
        name, equals, code = part.partition("=")
        if not equals or not name.strip() or not code.strip():
            raise BadRow(f"geocodes: {part!r} is not name=value such as EMMA_ID=ES104.")
        name, code = name.strip(), code.strip()
        if name.upper() == "SAME":
            name = "SAME"
            if not re.fullmatch(r"\d{6}", code, re.ASCII):
                raise BadRow(
                    f"geocodes: a SAME code has six digits, not {code!r}.",
                    remedy="A spreadsheet drops zeros at the beginning: have the column as text.",
                )
        codes.append((name, code))
    return tuple(codes)
