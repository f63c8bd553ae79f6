"""The parameters of the throttle, each with its bounds and the reason for them.

What no policy may switch off has no key here: Extreme is never limited, Severe never waits for
budget or quiet hours, and the end of a danger is never withheld from citizens who were notified of
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import time
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    create_model,
)
from pydantic.fields import FieldInfo

from alerting.throttle.policy.preauthorised import Preauthorised, entries

Path: TypeAlias = tuple[str, ...]

#: Each channel's name, and its rate where a policy names none.
Rates: TypeAlias = tuple[tuple[str, float], ...]

DAY_S = 86_400


def _number(default: float, low: float, high: float, why: str) -> Any:
    """A key that takes a number; `why` is a clause that gives the reason for its bounds."""
    return Field(default, ge=low, le=high, json_schema_extra={"why": why})


def _other(default: object, takes: str, **more: Any) -> Any:
    return Field(default, json_schema_extra={"takes": takes}, **more)


def _time(value: object) -> object:
    if isinstance(value, time) and value.tzinfo is None:
        return value
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value, re.ASCII):
        return time.fromisoformat(value)
    raise ValueError(f'is {_seen(value)}; it takes a time of day like "22:00"')


def _zone(value: object) -> object:
    try:
        if isinstance(value, str) and value:
            ZoneInfo(value)
            return value
    except (LookupError, ValueError, OSError):
        pass
    raise ValueError(f'is {_seen(value)}; it takes a time zone by name, like "Europe/Berlin"')


def _seen(value: object) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else str(value)[:40]


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Clocktime = Annotated[
    time,
    BeforeValidator(_time),
    PlainSerializer(lambda at: f"{at:%H:%M}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string"}),
]
ZoneName = Annotated[str, BeforeValidator(_zone)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Allowance(_Section):
    """How many interruptions of one severity class a citizen may have.

    Attributes:
        at_once: How many may follow one another directly.
        per_day: How many a day in the long run; after a quiet day as many may come at once, so that
            one day may see nearly twice that.
    """

    at_once: int = _number(1, 1, 10, "0 would let nothing through, and more is a flood")
    per_day: int = _number(1, 1, 100, "0 would let nothing through, and more limits nothing")


class Budget(_Section):
    spacing_s: int = _number(600, 0, 14_400, "longer would hold what matters today until tomorrow")
    moderate: Allowance = Allowance(at_once=1, per_day=6)
    minor: Allowance = Allowance(at_once=1, per_day=3)
    routine: Allowance = Allowance(at_once=1, per_day=1)


class Quiet(_Section):
    start: Clocktime = _other(time(22), 'a time of day like "22:00"', alias="from")
    end: Clocktime = _other(time(7), 'a time of day like "07:00"', alias="to")
    time_zone: ZoneName = _other("UTC", 'a time zone by name, like "Europe/Berlin"')
    slots: Annotated[tuple[Clocktime, ...], BeforeValidator(_tuple)] = _other(
        (time(8), time(13), time(18)),
        'a list of 1 to 12 times of day like ["08:00", "18:00"]',
        min_length=1,
        max_length=12,
    )


class Thread(_Section):
    repeat_extreme_s: int = _number(
        300, 0, 3_600, "an Extreme danger that is said again must interrupt again within the hour"
    )
    repeat_severe_s: int = _number(
        1_800, 0, 14_400, "a Severe danger that is said again must interrupt again the same day"
    )


class SameEvent(_Section):
    sure: float = _number(0.85, 0.7, 1, "less would merge events that only resemble each other")
    unsure: float = _number(0.6, 0.4, 1, "less would ask a coordinator about everything")
    window_s: int = _number(
        172_800, 600, 1_209_600, "events are not reported within seconds, nor for weeks"
    )


class GroupWait(_Section):
    moderate_s: int = _number(0, 0, 60, "a first alert may not wait longer")
    minor_s: int = _number(0, 0, 600, "a first alert may not wait longer")
    routine_s: int = _number(0, 0, 600, "a first alert may not wait longer")


class Storm(_Section):
    window_s: int = _number(3_600, 60, DAY_S, "shorter sees no storm, longer sees it too late")
    usual_factor: float = _number(10, 2, 1_000, "a sender may well be twice as busy as usual")
    at_least: int = _number(20, 2, 10_000, "one alert is no storm")
    history_s: int = _number(
        604_800, 3_600, 7_776_000, "less shows no habit, and more is not kept in mind"
    )
    audience_max: int = _number(
        500_000, 1, 10_000_000_000, "0 would make every alert wait for a second person"
    )
    preauthorised: Annotated[tuple[Preauthorised, ...], BeforeValidator(entries)] = Field(
        (Preauthorised(),), max_length=1_000
    )


class Redis(_Section):
    timeout_s: float = _number(0.05, 0.005, 1, "less fails always, more makes alerts wait")
    hold_s: float = _number(600, 0, 3_600, "what waits longer is forgotten by those who sent it")


class Pace(_Section):
    per_second: float = _number(0, 0, 100_000, "0 does not shape, and no provider takes more")
    horizon_s: float = _number(
        0.5, 0.05, 5, "less wastes capacity, more makes Severe wait behind what is reserved"
    )
    severe_share: float = _number(0.2, 0, 0.9, "the rest of the alerts must still go out")


class Paces(_Section):
    """The rate of each channel; `policy_type` gives it a key for each channel there is."""

    def of(self, channel: str) -> Pace | None:
        """A channel's rate; None where this policy was read without that channel."""
        if channel not in type(self).model_fields:
            return None
        found: Pace = getattr(self, channel)
        return found


class Policy(_Section):
    """All parameters of one policy. Made only by `parse_policy`, which validates it as a whole."""

    budget: Budget = Budget()
    quiet: Quiet = Quiet()
    thread: Thread = Thread()
    same_event: SameEvent = SameEvent()
    group_wait: GroupWait = GroupWait()
    storm: Storm = Storm()
    redis: Redis = Redis()
    pace: Paces = Paces()


@cache
def policy_type(rates: Rates) -> type[Policy]:
    """A policy with a rate for each of these channels."""
    fields: dict[str, Any] = {name: (Pace, Pace(per_second=rate)) for name, rate in rates}
    paces: Any = create_model("Paces", __base__=Paces, **fields)
    return create_model("Policy", __base__=Policy, pace=(paces, paces()))


def bounds(field: FieldInfo) -> tuple[float, float, str]:
    """The minimum and maximum of a number, and the reason for them."""
    extra = field.json_schema_extra
    if not isinstance(extra, dict):
        raise TypeError("every number of a policy has bounds with a reason")
    low = next(m.ge for m in field.metadata if hasattr(m, "ge"))
    high = next(m.le for m in field.metadata if hasattr(m, "le"))
    return low, high, str(extra["why"])


def keys_of(model: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """The paths of all sections and keys, as written in the file."""
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        yield path
        if (section := _section_of(field)) is not None:
            yield from keys_of(section, path)


def section_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """The section at a path.

    Raises:
        TypeError: When it is a key.
    """
    if not path:
        return model
    section = _section_of(field_at(model, path))
    if section is None:
        raise TypeError(f"{'.'.join(path)} is no section")
    return section


def field_at(model: type[BaseModel], path: Path) -> FieldInfo:
    """The key at a path, as written in the file."""
    section = section_at(model, path[:-1])
    return next(f for name, f in section.model_fields.items() if (f.alias or name) == path[-1])


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a section, also of one that may occur several times; None for a key."""
    for one in (field.annotation, *get_args(field.annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def within(at: time, start: time, end: time) -> bool:
    """True from `start` until before `end`, over midnight too; never where they are equal."""
    return start <= at < end if start <= end else at >= start or at < end
