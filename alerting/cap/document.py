"""Bytes → the root element of an XML document, safely, repairing what does not change its meaning.

Nothing outside the bytes is ever read. A DOCTYPE is refused before the parser sees it, since
entities are how XML reads files, opens connections and fills memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.entities import name2codepoint

from lxml import etree

from alerting.cap.report import CapError

MAX_DEPTH = 64

#: The repair for text before a document, such as a browser's notice.
TEXT_BEFORE = "text before the XML ignored"
#: No notice is longer.
_NOTICE = 1000
_REHEARSED = re.compile(rb"\b(exercise|drill|test|draft)", re.IGNORECASE)

_DECLARED = re.compile(rb"\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_DECLARATION = re.compile(r"<\?xml\s[^>]{0,400}?\?>")
_WELL_DECLARED = re.compile(
    r"<\?xml\s+version\s*=\s*([\"'])1\.\d*\1"
    r"(\s+encoding\s*=\s*([\"'])[A-Za-z][A-Za-z0-9._-]*\3)?"
    r"(\s+standalone\s*=\s*([\"'])(yes|no)\5)?\s*\?>"
)
# Python also has codecs that are slow on malicious input; only these are used.
_ENCODINGS = re.compile(
    r"utf-?8|utf-?16(le|be)?|(us-)?ascii|iso-?8859-?\d{1,2}|latin-?1|(windows-?|cp)(125\d|874)"
    r"|koi8-[ru]|gb2312|gbk|gb18030|big5|shift_jis|euc-(jp|kr)|tis-620",
    re.IGNORECASE,
)
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ILLEGAL_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,9}));")
_NAMED_REFERENCE = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,10});")
_NOT_BLANK = re.compile(r"\S")
_BARE_AMPERSAND = re.compile(r"&(?!(?:[A-Za-z_][\w.-]{0,40}|#[0-9]{1,9}|#x[0-9A-Fa-f]{1,8});)")
#: A parser's messages about a < or & that was meant as a character.
_MARKUP = re.compile(
    r"invalid element name|Entity|mandates value for attribute|parsing attribute name",
    re.IGNORECASE,
)
_TOO_DEEP = "boolean(" + "/*" * (MAX_DEPTH + 1) + ")"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document and the repairs needed to parse it."""

    root: etree._Element
    mends: tuple[str, ...]


def parse(data: bytes) -> Document:
    """Parse an XML document.

    Raises:
        CapError: When it is unsafe or not XML.
    """
    text, mends = _decode(data)
    text, blank = _without_declaration(text)
    mends += blank
    if _declares_doctype(text):
        raise CapError(
            "The document declares a DOCTYPE, which can make a reader open files and addresses.",
            remedy="Send plain CAP without a DOCTYPE or entity declarations.",
        )
    try:
        root = _root(text)
    except etree.XMLSyntaxError as first:
        mended, more = _mend(text)
        if not more:
            raise _not_xml(first) from None
        try:
            root = _root(mended)
        except etree.XMLSyntaxError as second:
            raise _not_xml(second) from None
        mends += more
    if root.getroottree().docinfo.internalDTD is not None:
        raise CapError("The document declares entities.", remedy="Send plain CAP without them.")
    if root.xpath(_TOO_DEEP):
        raise _too_deep()
    return Document(root, mends)


def without_text_before(data: bytes) -> bytes | None:
    """A document's XML without the text before it; None when no XML follows.

    Raises:
        CapError: When that text mentions a rehearsal: nobody can tell whether the alert is real.
    """
    at = data.find(b"<", 0, _NOTICE)
    if at < 0:
        return None
    before = data[:at]
    if said := _REHEARSED.search(before):
        raise CapError(
            f"Before the XML there is text that says {said[0].decode()!r}: nobody can tell "
            "whether the alert is real.",
            remedy="Send the XML alone.",
        )
    # Line numbers in messages stay those of the file.
    return b"\n" * before.count(b"\n") + data[at:]


def _root(text: str) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        encoding="utf-8",
    )
    # "surrogatepass" leaves a lone surrogate for the parser to refuse and `_mend` to remove.
    return etree.fromstring(text.encode("utf-8", "surrogatepass"), parser)


def _not_xml(error: etree.XMLSyntaxError) -> CapError:
    reason = (error.msg or "").partition(", line ")[0]
    if "depth" in reason.lower():
        return _too_deep()
    return CapError(
        f"This is not well-formed XML: line {error.lineno or 1}: {reason or 'it ends too early'}.",
        remedy="In a text write < as &lt; and & as &amp;."
        if _MARKUP.search(reason)
        else "Check that the file is whole.",
    )


def _too_deep() -> CapError:
    return CapError(f"The document nests elements more than {MAX_DEPTH} deep; CAP needs five.")


def _decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _utf16(data, "utf-16")
    if data.startswith((b"<\0", b"\0<")):
        return _utf16(data, "utf-16-le" if data[0] else "utf-16-be")
    found = _DECLARED.match(data)
    named = found[1].decode("ascii") if found else "utf-8"
    wide = re.match(r"utf-?16", named, re.IGNORECASE)
    known = _ENCODINGS.fullmatch(named) and not wide
    mends: tuple[str, ...] = () if known else (f"declares {named} and is not; read as UTF-8",)
    try:
        return data.decode(named if known else "utf-8").removeprefix("\ufeff"), mends
    except (UnicodeDecodeError, LookupError):
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    text = re.sub("[\udc80-\udcff]+", _as_windows_1252, text)
    return text, (*mends, f"bytes that are not {named.upper()} read as Windows-1252")


def _utf16(data: bytes, encoding: str) -> tuple[str, tuple[str, ...]]:
    try:
        return data.decode(encoding).removeprefix("\ufeff"), ()
    except UnicodeDecodeError:
        raise CapError("The document is not the UTF-16 text it begins as.") from None


def _as_windows_1252(found: re.Match[str]) -> str:
    raw = found[0].encode("utf-8", "surrogateescape")
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _without_declaration(text: str) -> tuple[str, tuple[str, ...]]:
    """Remove the XML declaration, keeping line numbers, and say what was wrong with it."""
    stripped = text.lstrip()
    found = _DECLARATION.match(stripped)
    if not found:
        return text, ()
    before = text[: len(text) - len(stripped)]
    lines = "\n" * (before + found[0]).count("\n")
    mends = ["blank before the XML declaration removed"] if before else []
    if not _WELL_DECLARED.fullmatch(found[0]):
        mends.append("malformed XML declaration ignored")
    return lines + stripped[found.end() :], tuple(mends)


def _declares_doctype(text: str) -> bool:
    """True when anything but comments and processing instructions comes before the root."""
    at = 0
    while True:
        if not_blank := _NOT_BLANK.search(text, at):
            at = not_blank.start()
        if text.startswith("<?", at):
            end = text.find("?>", at)
        elif text.startswith("<!--", at):
            end = text.find("-->", at)
        else:
            return text.startswith("<!", at)
        if end < 0:
            return False
        at = end + 2 + text.startswith("-->", end)


def _mend(text: str) -> tuple[str, tuple[str, ...]]:
    """Repair text from word processors and hand-written XML so that it parses; with the list of
    repairs."""
    steps: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str], str], ...] = (
        (_ILLEGAL, " ", "control characters replaced by blanks"),
        (_ILLEGAL_REFERENCE, _legal_reference, "references to control characters replaced"),
        (_NAMED_REFERENCE, _character, "HTML's named characters written out"),
        (_BARE_AMPERSAND, "&amp;", "unescaped & escaped"),
    )
    mends = []
    for pattern, replacement, what in steps:
        mended = pattern.sub(replacement, text)
        if mended != text:
            mends.append(what)
        text = mended
    return text, tuple(mends)


def _legal_reference(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else int(found[2])
    legal = code <= 0x10FFFF and not _ILLEGAL.match(chr(code))
    return found[0] if legal else " "


def _character(found: re.Match[str]) -> str:
    if found[1] in ("amp", "lt", "gt", "quot", "apos") or found[1] not in name2codepoint:
        return found[0]
    return chr(name2codepoint[found[1]])
