"""For the site: what leaves `docs/` (code, other folders) is named there and not linked to."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_INLINE = re.compile(r"\[([^\[\]]*)\]\(([^()\s]+)\)")
_DEFINITION = re.compile(r"^\[([^\]]+)\]: +(\S+)$", re.M)
_REFERENCE = re.compile(r"\[([^\[\]]+)\]\[([^\[\]]*)\]|\[([^\[\]]+)\](?![(:\[])")


def _leaves(page: str, target: str) -> bool:
    if re.match(r"[a-z]+:|#|/", target):
        return False
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target)).startswith("..")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs with each page."""
    source = page.file.src_uri
    outside = {
        label.lower() for label, target in _DEFINITION.findall(markdown) if _leaves(source, target)
    }

    def plain(found: re.Match[str]) -> str:
        text = found[1] or found[3]
        label = (found[2] or text).lower()
        if label not in outside:
            return found[0]
        return text if text.startswith("`") else f"`{text}`"

    markdown = _DEFINITION.sub(lambda m: "" if _leaves(source, m[2]) else m[0], markdown)
    markdown = _REFERENCE.sub(plain, markdown)
    return _INLINE.sub(lambda m: m[1] if _leaves(source, m[2]) else m[0], markdown)
