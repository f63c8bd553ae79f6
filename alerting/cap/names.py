"""CAP's own names: namespaces, the order of elements, and what senders call them instead.

Source: OASIS CAP-v1.2-os §3.2 and its schema; CAP 1.0 and 1.1 for what they named otherwise.
"""

from __future__ import annotations

CAP_12 = "urn:oasis:names:tc:emergency:cap:1.2"
CAP_11 = "urn:oasis:names:tc:emergency:cap:1.1"
CAP_10 = "http://www.incident.com/cap/1.0"
OLDER = {CAP_11: "1.1", CAP_10: "1.0", "urn:oasis:names:tc:emergency:cap:1.0": "1.0"}
XML_DSIG = "http://www.w3.org/2000/09/xmldsig#"
XML_SCHEMA_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

#: Children of each parent in the order of the schema's sequences.
ORDER: dict[str, tuple[str, ...]] = {
    "alert": (
        *("identifier", "sender", "sent", "status", "msgType", "source", "scope"),
        *("restriction", "addresses", "code", "note", "references", "incidents", "info"),
    ),
    "info": (
        *("language", "category", "event", "responseType", "urgency", "severity", "certainty"),
        *("audience", "eventCode", "effective", "onset", "expires", "senderName", "headline"),
        *("description", "instruction", "web", "contact", "parameter", "resource", "area"),
    ),
    "resource": ("resourceDesc", "mimeType", "size", "uri", "derefUri", "digest"),
    "area": ("areaDesc", "polygon", "circle", "geocode", "altitude", "ceiling"),
    "pair": ("valueName", "value"),
}

#: Names seen instead of CAP's own, in lower case.
ELEMENT_ALIASES = {"reference": "references", "address": "addresses", "key": "valueName"}


def is_cap(namespace: str) -> bool:
    """True for the namespaces of CAP 1.0, 1.1, 1.2 and for near misses of them."""
    lowered = namespace.lower()
    return lowered in OLDER or ":emergency:cap" in lowered or "incident.com/cap" in lowered


def split(tag: str) -> tuple[str, str]:
    """(namespace, local name) of an lxml tag; an undeclared prefix is dropped."""
    namespace, _, local = tag.rpartition("}")
    return namespace[1:], local.rpartition(":")[2]
