"""One line of a register's CSV file becomes a citizen, or a sentence that says why it cannot.

The columns are described for people in docs/citizens-csv.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import time
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from alerting.audience.cover import cell_of
from alerting.channels.push_endpoint import check_endpoint
from alerting.channels.registry import CHANNELS
from alerting.domain.language import well_formed
from alerting.errors import BadInput
from alerting.store.import_citizens import RegisterAddress, RegisterPlace, RegisterRow

REQUIRED = ("ref",)
COLUMNS = (
    "ref", "language", "time_zone", "quiet", "channels", "lat", "lon", "radius_m", "places",
    "geocodes", "groups", "sms", "email", "push", "consent", "verified",
)  # fmt: skip

_MAIL = re.compile(r"[^@\s,;<>\"]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]{2,}")
_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_SAME = re.compile(r"[0-9]{6}")
_MAX_RADIUS_M = 100_000


class BadRow(BadInput):
    """This line is refused; the others go on."""


def check_header(columns: list[str]) -> None:
    """Raises BadInput when a needed column is missing or one is unknown or doubled."""
    missing = [c for c in REQUIRED if c not in columns]
    unknown = [c for c in columns if c not in COLUMNS]
    doubled = {c for c in columns if columns.count(c) > 1}
    problems = [
        *(f"the column {c!r} is missing" for c in missing),
        *(f"there is no column {c!r}" for c in unknown),
        *(f"the column {c!r} comes twice" for c in sorted(doubled)),
    ]
    if problems:
        raise BadInput(
            f"The header line is wrong: {'; '.join(problems)}.",
            remedy=f"Columns are {', '.join(COLUMNS)}; only ref must be there.",
        )


def read_row(line: Mapping[str, str], *, loopback_push: bool = False) -> RegisterRow:
    """The citizen one line describes. Raises BadRow naming the column and what it takes."""
    ref = line.get("ref", "").strip()
    if not ref:
        raise BadRow("ref: is empty; every citizen needs the register's own key.")
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


def _words(line: Mapping[str, str], column: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.get(column, "").split()))


def _known(column: str, channels: tuple[str, ...]) -> None:
    for c in channels:
        if c not in CHANNELS:
            raise BadRow(f"{column}: there is no channel {c!r}; use {', '.join(CHANNELS)}.")


def _addresses(line: Mapping[str, str], *, loopback_push: bool) -> tuple[RegisterAddress, ...]:
    consent, verified = _words(line, "consent"), _words(line, "verified")
    _known("consent", consent)
    _known("verified", verified)
    found = []
    for channel in CHANNELS:
        value = line.get(channel, "").strip()
        if not value:
            continue
        keys: dict[str, str] = {}
        if channel == "push":
            value, keys = _subscription(value, loopback_push=loopback_push)
        elif channel == "sms":
            value = _phone(value)
        elif not _MAIL.fullmatch(value):
            raise BadRow("email: this is no mail address such as name@example.org.")
        found.append(
            RegisterAddress(
                channel,
                value,
                consent=not consent or channel in consent,
                verified=not verified or channel in verified,
                keys=keys,
            )
        )
    return tuple(found)


def _phone(value: str) -> str:
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException as e:
        raise BadRow(
            "sms: this is no phone number in international form such as +447700900123."
        ) from e
    if not phonenumbers.is_possible_number(number):
        raise BadRow("sms: this phone number has too many or too few digits for its country.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _subscription(value: str, *, loopback_push: bool) -> tuple[str, dict[str, str]]:
    what = 'push: a browser\'s subscription is {"endpoint": …, "keys": {"p256dh": …, "auth": …}}.'
    try:
        document = json.loads(value)
        endpoint, keys = document["endpoint"], document["keys"]
        p256dh, auth = str(keys["p256dh"]), str(keys["auth"])
    except (ValueError, KeyError, TypeError) as e:
        raise BadRow(what) from e
    try:
        check_endpoint(str(endpoint), allowed_origins=(), allow_loopback_http=loopback_push)
    except BadInput as e:
        raise BadRow(f"push: {e.detail}") from e
    return str(endpoint), {"p256dh": p256dh, "auth": auth}


def _quiet(value: str) -> tuple[time | None, time | None]:
    if not value:
        return None, None
    match = _QUIET.fullmatch(value)
    if match is None:
        raise BadRow(f"quiet: {value!r} is no span such as 22:00-07:00.")
    h1, m1, h2, m2 = map(int, match.groups())
    return time(h1, m1), time(h2, m2)


@lru_cache(maxsize=1024)
def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise BadRow(
            f"time_zone: there is no zone {name!r}; write one such as Europe/Paris."
        ) from e


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
    try:
        y, x, r = float(lat), float(lon), float(radius or 0)
    except ValueError as e:
        raise BadRow(f"{name}: {lat!r}, {lon!r}, {radius!r} are not degrees and metres.") from e
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
        codes.append((name.strip(), code.strip()))
    return tuple(codes)


def doubtful_codes(codes: Iterable[tuple[str, str]]) -> list[str]:
    """What looks wrong about geocodes that are taken all the same, a sentence each."""
    return [
        f"{name}={value} is no SAME code, which has six digits such as 006015."
        for name, value in codes
        if name.upper() in {"SAME", "FIPS6"} and not _SAME.fullmatch(value)
    ]
