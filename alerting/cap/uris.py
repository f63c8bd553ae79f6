"""Web addresses as the schema's `anyURI` admits them."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from lxml import etree

# Only libxml2 itself agrees with libxml2 on what an address is.
_ANY_URI = """<schema xmlns="http://www.w3.org/2001/XMLSchema">
<element name="u" type="anyURI"/></schema>"""
_KEPT = "!#$%&'()*+,-./:;=?@_~"


@lru_cache(maxsize=1)
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(_ANY_URI))


def is_uri(text: str) -> bool:
    element = etree.Element("u")
    element.text = text
    return bool(_schema().validate(element))


def as_uri(text: str) -> str | None:
    """The text as an address: unchanged, else escaped, else None."""
    if is_uri(text):
        return text
    escaped = quote(text, safe=_KEPT)
    return escaped if is_uri(escaped) else None
