"""Make a sender's text safe and short: markup flattened, control characters gone, words whole."""

from __future__ import annotations

import html
import re
import unicodedata

from alerting.domain.blank import says_nothing

#: Stands where the citizen's own leave link goes. Removed from every text that comes from outside,
#: so nobody can place a link in a citizen's name.
LEAVE_MARK = "[[leave-link]]"

_BLOCK = "p|div|tr|table|ul|ol|h[1-6]|blockquote|pre|section|article|header|footer"
_INLINE = "a|b|i|u|s|em|strong|span|font|small|big|sup|sub|td|th|tbody|thead|img|center|code|abbr"
_HIDDEN = re.compile(r"<(script|style|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.I | re.S)
_ANCHOR = re.compile(
    r"<a\b[^<>]*?href\s*=\s*[\"']?(https?://[^\"'\s<>]+)[^<>]*>(.*?)</a\s*>", re.I | re.S
)
# Only real elements, bare or with attributes: "wind <50 km/h" and "a<b and c>d" are texts.
_END = r"(?:\s+[^<>=]+=[^<>]*)?\s*/?>"
_ITEM = re.compile(rf"<li{_END}", re.I)
_BREAK = re.compile(rf"</?(?:br|hr|li|{_BLOCK}){_END}", re.I)
_TAG = re.compile(rf"</?(?:{_INLINE}|html|body|head|meta|link|o:p){_END}", re.I)

# Marks that turn the direction of all that follows could make a frame word unreadable.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_NEWLINES = re.compile(r"\r\n|[\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile(r"[ \t\xa0]+")
_BLANK_LINES = re.compile(r"\n(?: ?\n)+")
# A line end that a program wrote out as letters; not the start of a folder's name.
_WRITTEN_NEWLINE = re.compile(r"(?<![:\\])(?:\\r)?\\n|(?<![:\\])\\r")

_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.M)
_STRONG = re.compile(r"(?<![*\w])(\*\*|__)(?![\s*_])(.{1,200}?)(?<![\s*_])\1(?![*\w])")
_LINK = re.compile(r"\[([^\[\]\n]+)\]\((https?://[^\s()]+)\)", re.I)

#: Some senders escape a text twice, some three times.
_LAYERS = 4


def clean(text: str | None) -> str:
    """Plain text of a CAP text: markup flattened, entities read, paragraphs kept, nothing hidden.

    Line ends become `\\n`, control characters and lone surrogates disappear. A text that stands
    for nothing (`N/A`, `None`, `---`) is empty.
    """
    if not text:
        return ""
    for _ in range(_LAYERS):
        before = text
        if "<" in text:
            text = _flatten(text)
        if "&" in text:
            text = html.unescape(text)
        if text == before:
            break
    text = _NEWLINES.sub("\n", text).translate(_TURNING)
    text = _plain_marks(text)
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    text = _SPACES.sub(" ", text).replace("\n ", "\n").replace(" \n", "\n")
    while LEAVE_MARK in text:  # removing one may join another
        text = text.replace(LEAVE_MARK, "")
    text = _BLANK_LINES.sub("\n\n", text).strip()
    return "" if says_nothing(text) else text


def _plain_marks(text: str) -> str:
    """The text without Markdown and without line ends written as letters."""
    if "\\" in text:
        text = _WRITTEN_NEWLINE.sub("\n", text)
    if "#" in text:
        text = _HEADING.sub("", text)
    if "**" in text or "__" in text:
        text = _STRONG.sub(r"\2", text)
    return _LINK.sub(_link, text) if "](" in text else text


def _link(found: re.Match[str]) -> str:
    words, target = found.groups()
    return target if words == target else f"{words} ({target})"


def _flatten(text: str) -> str:
    text = _HIDDEN.sub("", text)
    text = _ANCHOR.sub(lambda m: m[2] if m[1] in m[2] else f"{m[2]} ({m[1]})", text)
    text = _ITEM.sub("\n- ", text)
    return _TAG.sub("", _BREAK.sub("\n", text))


def one_line(text: str | None) -> str:
    """`clean` text on a single line; safe in a header."""
    return " ".join(clean(text).split())


def paragraphs(text: str) -> list[list[str]]:
    """The lines of each paragraph of a clean text."""
    return [p.split("\n") for p in text.split("\n\n") if p]


def clip(text: str, limit: int) -> str:
    """The text if it has at most `limit` characters, else its beginning up to a word and `…`.

    Scripts written without spaces are cut between characters, never before a combining mark.
    """
    if len(text) <= limit:
        return text
    end = limit - 1
    if end < 1:
        return ""
    if not text[end].isspace():
        space = max(text.rfind(" ", 0, end), text.rfind("\n", 0, end))
        if space > end // 2:
            end = space
        while end > 0 and _belongs_to_the_one_before(text, end):
            end -= 1
    start = text[:end].rstrip(" \n,;:.-–—…")
    return f"{start}…" if start else ""


def _belongs_to_the_one_before(text: str, at: int) -> bool:
    return (
        unicodedata.category(text[at]).startswith("M")
        or "\u200d" in text[at - 1 : at + 1]
        or "\U0001f3fb" <= text[at] <= "\U0001f3ff"
    )


def fold(text: str) -> str:
    """Latin letters without their marks (`ÜBUNG` → `UBUNG`, `Więcej` → `Wiecej`)."""
    text = text.translate(str.maketrans("łŁđĐıİ’", "lLdDiI'"))
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
