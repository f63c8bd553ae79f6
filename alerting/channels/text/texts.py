"""Make a sender's text safe and short: markup flattened, control characters gone, words whole."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache

from alerting.domain.blank import says_nothing

#: Stands where the citizen's own leave link goes. Removed from every text that comes from outside,
#: so nobody can place a link in a citizen's name.
LEAVE_MARK = "[[leave-link]]"

#: Of a longer text the rest is left out: nobody reads on, and all that follows takes its time.
MOST_CHARACTERS = 30_000

# fmt: off
_BREAKS = frozenset({
    "p", "div", "tr", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6",
    "blockquote", "pre", "section", "article", "header", "footer", "br", "hr", "li",
})
_OTHERS = frozenset({
    "a", "b", "i", "u", "s", "em", "strong", "span", "font", "small", "big", "sup", "sub",
    "td", "th", "tbody", "thead", "img", "center", "code", "abbr", "html", "body", "head",
    "meta", "link", "o:p",
})
# fmt: on
_HIDDEN = re.compile(r"<(script|style|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.I | re.S)
#: Anything that may be an element. Each pattern here looks at every character a few times at most.
_TAG = re.compile(r"<(/?)([a-z][a-z0-9:]*+)([^<>]*+)>", re.I)
_HREF = re.compile(r"href\s*=\s*[\"']?(https?://[^\"'\s<>]+)", re.I)
_LONG_REFERENCE = re.compile(r"&#(?:\d{12,}|x[0-9a-f]{12,});?", re.I)

# Marks that turn the direction of all that follows could make a frame word unreadable.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_NEWLINES = re.compile(r"\r\n|[\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile(r"[ \t\xa0]+")
_BLANK_LINES = re.compile(r"\n(?: ?\n)+")
# A line end that a program wrote out as letters; not the start of a folder's name.
_WRITTEN_NEWLINE = re.compile(r"(?<![:\\])(?:\\r)?\\n|(?<![:\\])\\r")

_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.M)
_STRONG = re.compile(
    r"(?<![*\w])\*\*(?![\s*])([^*\n]{1,200})(?<!\s)\*\*(?![*\w])"
    r"|(?<!\w)__(?![\s_])([^_\n]{1,200})(?<!\s)__(?!\w)"
)
_LINK = re.compile(r"\[([^\[\]\n]+)\]\((https?://[^\s()]+)\)", re.I)

#: Characters without a form, and halves of one, but for tabs and line ends.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

#: Longer texts take milliseconds, and are not cleaned again for each area.
_LONG = 1_000

#: Some senders escape a text twice, some three times.
_LAYERS = 4


def clean(text: str | None) -> str:
    """Plain text of a CAP text: markup flattened, entities read, paragraphs kept, nothing hidden.

    Line ends become `\\n`, control characters and lone surrogates disappear. A text that stands
    for nothing (`N/A`, `None`, `---`) is empty.
    """
    if not text:
        return ""
    text = clip(text, MOST_CHARACTERS)
    return _clean_long(text) if len(text) > _LONG else _clean(text)


def _clean(text: str) -> str:
    for _ in range(_LAYERS):
        before = text
        if "<" in text:
            text = _flatten(text)
        if "&" in text:
            # A number of thousands of digits is no character, and is not counted out.
            text = html.unescape(_LONG_REFERENCE.sub("\ufffd", text))
        if text == before:
            break
    text = _NEWLINES.sub("\n", text).translate(_TURNING)
    text = _plain_marks(text)
    text = _CONTROL.sub("", text)
    if LEAVE_MARK in text:
        text = _unmarked(text)
    text = _SPACES.sub(" ", text).replace("\n ", "\n").replace(" \n", "\n")
    text = _BLANK_LINES.sub("\n\n", text).strip()
    return "" if says_nothing(text) else text


#: An alert's texts are the same in each of its areas, of which it may have a thousand.
_clean_long = lru_cache(maxsize=64)(_clean)


def _unmarked(text: str) -> str:
    """The text without the mark, what is left around one that joins to another included."""
    kept: list[str] = []
    for letter in text:
        kept.append(letter)
        if letter == LEAVE_MARK[-1] and "".join(kept[-len(LEAVE_MARK) :]) == LEAVE_MARK:
            del kept[-len(LEAVE_MARK) :]
    return "".join(kept)


def _plain_marks(text: str) -> str:
    """The text without Markdown and without line ends written as letters."""
    if "\\" in text:
        text = _WRITTEN_NEWLINE.sub("\n", text)
    if "#" in text:
        text = _HEADING.sub("", text)
    if "**" in text or "__" in text:
        text = _STRONG.sub(lambda m: m[1] or m[2], text)
    return _LINK.sub(_link, text) if "](" in text else text


def _link(found: re.Match[str]) -> str:
    words, target = found.groups()
    return target if words == target else f"{words} ({target})"


def _flatten(text: str) -> str:
    """Elements as line ends, items and nothing; the words of a link followed by its target."""
    text = _HIDDEN.sub("", text)
    target, begun = "", 0

    def flat(tag: re.Match[str]) -> str:
        nonlocal target, begun
        closing, name, rest = tag[1], tag[2].lower(), tag[3]
        if not _is_element(rest):
            return tag[0]
        if name == "li" and not closing:
            return "\n- "
        if name in _BREAKS:
            return "\n"
        if name not in _OTHERS:
            return tag[0]
        if name != "a":
            return ""
        if not closing:
            found = _HREF.search(rest)
            if found and not target:
                target, begun = found[1], tag.end()
            return ""
        link, target = target, ""
        return f" ({link})" if link and link not in text[begun : tag.start()] else ""

    return _TAG.sub(flat, text)


def _is_element(rest: str) -> bool:
    """Bare or with attributes: "wind <50 km/h" and "a<b and c>d" are texts."""
    rest = rest.rstrip().removesuffix("/")
    before, equals, _ = rest.partition("=")
    return not rest.strip() or (rest[0].isspace() and bool(equals) and bool(before.strip()))


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
