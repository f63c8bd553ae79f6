"""How strongly two texts describe one incident: by the rare words they share.

A sender reports many incidents of one kind with the same words. What distinguishes them, and links
a follow-up to its first report, are numbers and names: words that few other events contain. How
rare a word is, is learnt from recent alerts; no sender's style is known in advance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Protocol

from alerting.throttle.events.wording import TELLING, Wording, share_of_kind

#: This many events' worth of assumed experience before the first ones.
_EXPERIENCE = 50

#: A word counts for nothing until it is rarer than one event in twelve.
_COMMON = math.log(12)

#: Evidence that suffices, about that of six words each found in one event of a hundred, and the
#: share of the shorter text's own evidence that must be common. High, because two incidents treated
#: as one may hide the second.
_ENOUGH = 13.5
_SHARE = 0.3

#: A word that this many events put beside a number makes a field of it, such as a case number.
_FIELD = 0.3

#: The similarity left when fields differ; and when they agree and other numbers differ beside one
#: word, such as two houses in one street.
_UNTOLD = 0.5
_DOUBTFUL = 0.65


class Worded(Protocol):
    """An alert's words, and the labels of its numbers."""

    @property
    def words(self) -> frozenset[str]: ...


class Pool:
    """In how many events each word was found. Cheap to add to and to remove from.

    It works with two alerts, where only long numbers count, and better with more alerts of the same
    senders, from anywhere; two hundred are plenty.
    """

    def __init__(self) -> None:
        self._senders: dict[str, Pool] = {}
        self._found: Counter[str] = Counter()
        self._events: dict[Hashable, Counter[str]] = {}
        self._alone = 0

    def __len__(self) -> int:
        """The number of events it knows."""
        return len(self._events) + self._alone

    def add(self, alert: Worded, event: Hashable = None, *, sender: str = "") -> None:
        """Add an alert.

        Args:
            event: The known event of the alert; reports of one event repeat its rare words, which
                does not make these more common. None for an alert on its own.
        """
        if sender:
            self._senders.setdefault(sender, Pool()).add(alert, event)
        if event is None:
            self._alone += 1
            self._found.update(alert.words)
            return
        held = self._events.setdefault(event, Counter())
        self._found.update(w for w in alert.words if not held[w])
        held.update(alert.words)

    def drop(self, alert: Worded, event: Hashable = None, *, sender: str = "") -> None:
        """Remove an alert that was added, with the same arguments."""
        if sender:
            self._senders[sender].drop(alert, event)
            if not len(self._senders[sender]):
                del self._senders[sender]
        lost: Iterable[str] = alert.words
        if event is None:
            self._alone -= 1
        else:
            held = self._events[event]
            held.subtract(alert.words)
            lost = [w for w in alert.words if not held[w]]
            for word in lost:
                del held[word]
            if not held:
                del self._events[event]
        for word in lost:
            self._found[word] -= 1
            if not self._found[word]:
                del self._found[word]

    def of(self, sender: str) -> Pool:
        """The statistics of one sender's style; of all when none was named."""
        return self._senders.get(sender, self)

    def share(self, word: str) -> float:
        """The share of events in which this word, or a number beside this label, was found."""
        return self._found[word] / max(1, len(self))

    def weight(self, word: str, *, but: int) -> float:
        """The evidence of finding this word in two alerts; 0 for a common one.

        Args:
            but: How many of the events that contain it are those of the very alerts compared.
        """
        others = max(0, self._found[word] - but)
        seen = len(self) + _EXPERIENCE
        return max(0.0, math.log(seen / (others + _EXPERIENCE * share_of_kind(word))) - _COMMON)


def agreement(one: Wording, other: Wording, pool: Pool) -> float | None:
    """From 0, nothing in common, to 1, surely one incident; None when texts cannot be compared.

    Texts in two languages of one script are compared by their numbers and names alone, so there 0
    means nothing and is None.
    """
    if one.script != other.script:
        return None
    if one.formula == other.formula:
        return 1.0
    same_language = one.language == other.language
    shared = sum(pool.weight(w, but=2) for w in one.words & other.words)
    rest = min(_evidence(one.words - other.words, pool), _evidence(other.words - one.words, pool))
    own = shared + rest
    found = min(1.0, shared / _ENOUGH) * min(1.0, shared / own / _SHARE) if own else 0.0
    found = min(found, _most(one, other, pool))
    return found if same_language or found > 0 else None


def name_alike(one: Wording, other: Wording, pool: Pool) -> bool:
    """True when two texts of different wording contain one rare number, as a case and its outcome
    do.

    A repeated formula is no such pair: a siren sounds the same for every attack.
    """
    return one.formula != other.formula and bool(
        _numbers(one, pool, but=2) & _numbers(other, pool, but=2)
    )


def _most(one: Wording, other: Wording, pool: Pool) -> float:
    """The upper bound of similarity, given the numbers in which two texts differ."""
    ours, theirs = _numbers(one, pool, but=1), _numbers(other, pool, but=1)
    if ours and theirs and not ours & theirs:
        return _UNTOLD
    agreed = fields_differ = names_differ = counts_differ = False
    for label in one.numbers.keys() & other.numbers.keys():
        values, others = one.numbers[label], other.numbers[label]
        lengths = [len(v) for v in values | others]
        field = max(lengths) >= TELLING and pool.share(label) >= _FIELD
        rare = pool.weight(label.strip("# "), but=2) > 0
        if values & others:
            agreed |= field and any(pool.weight(v, but=2) > 0 for v in values & others)
        elif field or rare:
            fields_differ |= field
            names_differ |= min(lengths) >= TELLING
            counts_differ = True
    if agreed:
        return _DOUBTFUL if names_differ else 1.0
    return _UNTOLD if fields_differ else _DOUBTFUL if counts_differ else 1.0


def _numbers(one: Wording, pool: Pool, *, but: int) -> set[str]:
    """The rare numbers of a text that are long enough to name things."""
    numbers = {w for w in one.words if len(w) >= TELLING and w.isdigit()}
    return {n for n in numbers if pool.weight(n, but=but) > 0}


def _evidence(words: Iterable[str], pool: Pool) -> float:
    return sum(pool.weight(w, but=1) for w in words)
