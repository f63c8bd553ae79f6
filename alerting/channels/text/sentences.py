"""A sender's text as blocks and sentences, so that a short message begins with what matters."""

from __future__ import annotations

import re

from alerting.domain.language import primary

_STOPS = {"ja": "。", "zh": "。", "hi": "।"}
_CLOSERS = ")]\"'”’»"
_ENDS = frozenset(".!?…。！？।؟:;,،、")

_PARAGRAPH = re.compile(r"\n\n+|\n(?=[-*•])")
_BULLET = re.compile(r"^[-*•]\s*")
#: A line as long as this was broken because it was full, not because a sentence was.
_FULL_LINE = 50

# A stop after one or two letters is an abbreviation's, and so is one before a small letter.
_SENTENCE = re.compile(
    r"(?<=[.!?…؟।])(?<!\b\w\.)(?<!\b\w\w\.)\s+(?=[^\sa-z\d])"
    r"|(?<=[.!?…؟।][)\]\"'”’»])\s+(?=[^\sa-z\d])"
    r"|(?<=[。！？])"
)

_ADDRESS = re.compile(r"https?://|\bwww\.", re.I)
#: What `clean` writes behind the words of a link.
_TARGET = re.compile(r" ?\(https?://[^\s()]+\)", re.I)

#: So much of the description stands before an instruction that only points elsewhere.
_BEFORE_POINTERS = 160


def closed(text: str, language: str) -> str:
    """The text with a stop at its end, unless it has one."""
    if not text or text.rstrip(_CLOSERS)[-1:] in _ENDS:
        return text
    return text + _STOPS.get(primary(language), ".")


def blocks(text: str) -> list[str]:
    """The paragraphs, list items and lines of a clean text, each on one line and without bullet."""
    found: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        block = ""
        for line in paragraph.split("\n"):
            if block and len(block) < _FULL_LINE and not line[:1].islower():
                found.append(block)
                block = ""
            block = f"{block} {_BULLET.sub('', line)}".strip()
        found.append(block)
    return [block for block in found if block]


def sentences(text: str) -> list[str]:
    """The sentences of a clean text."""
    parts = (part.strip() for block in blocks(text) for part in _SENTENCE.split(block))
    return [part for part in parts if part]


def plain_sentences(text: str) -> list[str]:
    """The sentences that point to no web page."""
    return [s for s in sentences(text) if not _ADDRESS.search(s)]


def danger_first(instruction: str, description: str) -> str:
    """What to do, for a short message: the instruction, else the description.

    Sentences that point to a web page come last, and an instruction of nothing else comes behind
    the first sentences of the description. The targets of marked links are left out; the message
    has a link of its own.
    """
    text = instruction or description
    if not _ADDRESS.search(text):
        return text
    every, first = sentences(text), plain_sentences(text)
    last = [s for s in every if _ADDRESS.search(s)]
    if not first and instruction:
        first = _within(plain_sentences(description), _BEFORE_POINTERS)
    return "\n\n".join(_TARGET.sub("", s) for s in (*first, *last))


def _within(parts: list[str], chars: int) -> list[str]:
    """The first parts, at least one, of at most so many characters."""
    kept = parts[:1]
    for part in parts[1:]:
        if sum(map(len, kept)) + len(part) > chars:
            break
        kept.append(part)
    return kept
