"""How a text travels as SMS: its encoding, its length in segments, and how to make it fit.

Source: 3GPP TS 23.038 §6.2.1 (GSM 7-bit default alphabet and its extension table) and TS 23.040
§9.2.3.24.1 (a part of a longer text gives 6 octets, 7 septets or 3 UCS-2 units, to its header).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

#: Each takes one septet.
GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Each takes two septets, an escape and itself, which stay in one segment.
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")

_GSM = GSM_BASIC | GSM_EXTENSION

# Letters are left alone: folding "ć" or "ã" changes names and, in some languages, meanings.
_LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´ʹʻʼ", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("•‣·∙", "-"),
        **dict.fromkeys("\t\u00a0\u202f\u205f", " "),
        **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
        **dict.fromkeys("\u2028\u2029", "\n"),
        # Invisible: soft hyphen, zero-width space, word joiner, byte order mark. The joiners
        # U+200C and U+200D stay, because Persian, Indic scripts and emoji are spelt with them.
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),
        "…": "...",
        "‹": "<",
        "›": ">",
        "⁄": "/",
        "×": "x",
        "²": "2",
        "³": "3",
        "½": "1/2",
        "¼": "1/4",
        "¾": "3/4",
        "℃": "C",
        "℉": "F",
    }
)
# A heat warning should not double in length for its degree sign; "35C" reads the same.
_DEGREES = re.compile(r"°\s?(?=[CF]\b)")


@dataclass(frozen=True, slots=True)
class Segments:
    """What a text costs.

    Attributes:
        units: Septets for GSM-7 (an extension character counts two), UTF-16 code units for UCS-2.
        count: Segments the network carries and the provider bills; an empty text is one.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int


def measure(text: str) -> Segments:
    """Say how a text is encoded and how many segments it takes; never fails."""
    if _GSM.issuperset(text):
        widths = (2 if c in GSM_EXTENSION else 1 for c in text)
        units = len(text) + sum(map(text.count, GSM_EXTENSION))
        return Segments("GSM-7", units, _packed(widths, units, whole=160, part=153))
    widths = (2 if c > "\uffff" else 1 for c in text)
    units = len(text) + sum(c > "\uffff" for c in text)
    return Segments("UCS-2", units, _packed(widths, units, whole=70, part=67))


def _packed(widths: Iterator[int], units: int, *, whole: int, part: int) -> int:
    """Count segments, moving a pair that would straddle two of them into the later one."""
    if units <= whole:
        return 1
    count, used = 1, 0
    for width in widths:
        used += width
        if used > part:
            count, used = count + 1, width
    return count


def plain(text: str) -> str:
    """Replace typography that GSM-7 lacks by its look-alike: one “ doubles the length of an SMS.

    Letters never change, except that they are composed (NFC); emoji and other scripts stay.
    """
    return _DEGREES.sub("", unicodedata.normalize("NFC", text)).translate(_LOOK_ALIKES)


def shorten(text: str, link: str, max_segments: int) -> str:
    """Make a text fit: unchanged where it does, else cut at a word with an ellipsis and the link.

    The ellipsis is `…`, or `...` where that keeps the whole in GSM-7. A word too long for half the
    room, as in scripts written without spaces, is cut between characters. A link that leaves no
    room for any text is left out.
    """
    text = text.strip()
    if measure(text).count <= max_segments:
        return text
    return _cut(text, link, max_segments) or _cut(text, "", max_segments)


def _cut(text: str, link: str, max_segments: int) -> str:
    """The longest beginning that fits with its ending; empty where none does."""

    def fits(end: int) -> bool:
        return measure(_ended(text[:end], link)).count <= max_segments

    # No text longer than this fits in any encoding, so nothing longer is ever measured.
    ends = range(1, min(len(text), max_segments * 160) + 1)
    longest = bisect_right(ends, False, key=lambda end: not fits(end))
    end = _boundary(text, longest)
    # A shorter text may be the longer SMS where it is the one with three dots.
    while end and not fits(end):
        end = _boundary(text, end - 1)
    return _ended(text[:end], link) if end else ""


def _boundary(text: str, end: int) -> int:
    """The last place up to `end` where a word ends, else where a character does."""
    if end >= len(text) or text[end].isspace():
        return end
    space = max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))
    if space > end // 2:
        return space
    whole = end
    while whole > 0 and _joined(text, whole):
        whole -= 1
    return whole or end


def _joined(text: str, at: int) -> bool:
    """True where a cut would tear a combining mark, a joiner or an emoji's modifier off."""
    joins = "\u200d\ufe0f"
    after = text[at]
    return (
        unicodedata.combining(after) > 0
        or after in joins
        or text[at - 1] == "\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    )


def _ended(beginning: str, link: str) -> str:
    beginning = beginning.rstrip(" \n\r\t,;:.-–—…")
    tail = f" {link}" if link else ""
    ascii_dots = f"{beginning}...{tail}"
    return ascii_dots if _GSM.issuperset(ascii_dots) else f"{beginning}…{tail}"
