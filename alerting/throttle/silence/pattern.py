"""Regular expressions that coordinators may write and that cannot block a worker.

A backtracking matcher takes unbounded time for some patterns and Python's has no time limit, so
patterns that can take long are refused before they run: with a few choices in each alternative and
texts of at most 200 characters the worst pattern takes tens of milliseconds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from warnings import catch_warnings

from alerting.errors import BadInput

MAX_PATTERN = 200
MAX_TEXT = 200

# The time grows with the length of the text to the power of the choices in one alternative, and
# only adds up over alternatives.
_MAX_CHOICES = 3
_MAX_ALL = 12

_TOKEN = re.compile(
    r"(?P<escape>\\.)"
    r"|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<open>\((?:\?:)?)"
    r"|(?P<close>\))"
    r"|(?P<many>(?:[*+?]|\{\d*,?\d*\})[?+]?)"
    r"|(?P<bar>\|)"
    r"|(?P<plain>.)",
    re.DOTALL,
)


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern, case-insensitive.

    Raises:
        BadInput: For one that is too long, invalid, or could take long to match.
    """
    if len(pattern) > MAX_PATTERN:
        raise BadInput(
            f"The pattern has {len(pattern)} characters, more than {MAX_PATTERN}.",
            remedy="Use several silences.",
        )
    try:
        # A pattern such as "[[" may change its meaning in a later Python; that does not concern the
        # author of a silence.
        with catch_warnings(action="ignore", category=FutureWarning):
            found = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as e:
        raise BadInput(
            f"The pattern {pattern!r} is wrong: {e}.",
            remedy="Write a regular expression such as Flood.* or Storm|Wind.",
        ) from None
    _refuse_slow(pattern)
    return found


def matches(pattern: str, text: str) -> bool:
    """True when the pattern matches the whole text. It matches no text beyond 200 characters."""
    return len(text) <= MAX_TEXT and _matches(pattern, text)


@lru_cache(maxsize=4096)
def _matches(pattern: str, text: str) -> bool:
    return compiled(pattern).fullmatch(text) is not None


def _refuse_slow(pattern: str) -> None:
    depth, choices, in_all, before = 0, 0, 0, ""
    bars: list[bool] = []
    for token in _TOKEN.finditer(pattern):
        kind, more = token.lastgroup or "", 0
        match kind:
            case "escape" if token[0][1].isdigit():
                raise _refused(pattern, "refers back to a group")
            case "many" if before == "open":
                raise _refused(pattern, "uses an extension that begins with (?")
            case "many" if before == "close":
                raise _refused(pattern, "repeats a group")
            case "many":
                more = 1
            case "open":
                depth += 1
                bars.append(False)
            case "close":
                depth -= 1
                more = int(bars.pop())
            case "bar" if depth:
                bars[-1] = True
            case "bar":
                choices = 0
        choices, in_all, before = choices + more, in_all + more, kind
        if choices > _MAX_CHOICES or in_all > _MAX_ALL:
            raise _refused(
                pattern,
                f"has more than {_MAX_CHOICES} of * + ? {{…}} (…|…) in one alternative, or more "
                f"than {_MAX_ALL} in all",
            )


def _refused(pattern: str, why: str) -> BadInput:
    return BadInput(
        f"The pattern {pattern!r} {why}, and could keep alerts waiting while it is matched.",
        remedy="Write it simpler, or use several matchers or silences.",
    )
