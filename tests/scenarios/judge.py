"""The verdict on a play: from what was said and what the carriers were handed, nothing else.

It shares no rule with the system and reads no table of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from letters import Handed
from meaning import Danger, Meaning, Said
from people import OWNERS
from post import Done
from scene import GROUPS, PEOPLE, PRINCIPALS, Approve, Klass

from alerting.domain.alert import Severity

_HIGH_PRIORITY = {Severity.EXTREME, Severity.SEVERE}

#: Which act an alert came from, by its id.
Origin = Mapping[str, int]

#: Who may be handed what is not for the public.
_MEMBERS = frozenset().union(*GROUPS.values())


def so_far(done: Sequence[Done], book: Sequence[Handed], origin: Origin) -> list[str]:
    """What is wrong already, whatever comes.

    origin: which act an alert came from, by the code that every message has in its link.
    """
    meaning = Meaning(done)
    return [
        *_outsiders(book),
        *_ends_of_nothing(meaning, book),
        *_too_early(meaning, book, origin),
        *_withheld(meaning, book),
        *_refused(meaning),
        *_without_right(meaning, book, origin),
    ]


def at_last(done: Sequence[Done], book: Sequence[Handed], origin: Origin) -> list[str]:
    """What is wrong when everything has been ended by whoever said it, and all is quiet."""
    meaning = Meaning(done)
    return [*so_far(done, book, origin), *_not_once(meaning, book, origin)]


def difference(book: Sequence[Handed], without: Sequence[Handed]) -> list[str]:
    """How what the public got differs from the play without what was not for it.

    In whatever order: what is sent in one moment may change places.
    """
    found = []
    mine, others = _by_endpoint(book), _by_endpoint(without)
    for endpoint in sorted(mine.keys() | others.keys()):
        more = (mine[endpoint] - others[endpoint]).elements()
        less = (others[endpoint] - mine[endpoint]).elements()
        found += [f"wall: {OWNERS[endpoint]} got, for what is not public: {t!r}" for t in more]
        found += [f"wall: {OWNERS[endpoint]} missed, for what is not public: {t!r}" for t in less]
    return found


def _by_endpoint(book: Sequence[Handed]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for m in book:
        if m.klass is Klass.PUBLIC:
            # Which of several ends that come together brings the news is nobody's loss.
            text = f"over: {m.hazard}" if m.over else m.text
            found[m.endpoint]["(silent) " * m.silent + text] += 1
    return found


def _outsiders(book: Sequence[Handed]) -> Iterator[str]:
    for m in book:
        if m.klass is not Klass.PUBLIC and OWNERS[m.endpoint] not in _MEMBERS:
            yield f"outsider: {OWNERS[m.endpoint]} got {m.klass}: {m.text[:70]!r}"


def _ends_of_nothing(meaning: Meaning, book: Sequence[Handed]) -> Iterator[str]:
    notified: dict[str, set[Danger]] = defaultdict(set)
    for m in book:
        name = OWNERS[m.endpoint]
        if not m.over:
            notified[name].add(m.danger)
        elif not notified[name] & meaning.joined(m.danger):
            yield f"end of nothing: {name} was never told of what {m.text[:60]!r} ends"


def _too_early(meaning: Meaning, book: Sequence[Handed], origin: Origin) -> Iterator[str]:
    """Somebody hears that a danger is over, for whom an alert holds that was there before its end
    was said, or that they have heard of already."""
    notified: dict[str, set[int]] = defaultdict(set)
    for n, m in enumerate(book):
        name, place = OWNERS[m.endpoint], origin.get(m.code, len(meaning.done))
        if not m.over:
            notified[name].add(place)
        elif m.klass is Klass.PUBLIC and meaning.stands_for(
            name, m.danger, place, notified[name], n, m.at
        ):
            yield f"wrong end: {name} heard {m.text[:60]!r} while it stands for them"


def _withheld(meaning: Meaning, book: Sequence[Handed]) -> Iterator[str]:
    """The first grave alert of a danger, and every graver one, has reached everybody in its area
    once workers are idle."""
    for danger in meaning.dangers():
        most_severe = len(Severity)
        for said in meaning.sayings(danger):
            rank = said.say.severity.rank
            if (
                danger[1] is Klass.PUBLIC
                and rank < most_severe
                and said.say.severity in _HIGH_PRIORITY
            ):
                yield from _untold(meaning, book, said)
            most_severe = min(most_severe, rank)


def _untold(meaning: Meaning, book: Sequence[Handed], said: Said) -> Iterator[str]:
    """Who has not heard of a danger since this was said, where nothing else was said of it."""
    danger, lets = said.say.danger, meaning.lets(said)
    quiet = meaning.next_idle(said.place if lets is None else lets)
    if lets is None or quiet is None or said.say.no in meaning.done[quiet].waiting:
        return
    idle = meaning.done[quiet]
    others = [e.place for e in meaning.ends() if e.danger == danger]
    if said is not next(meaning.sayings(danger)):
        others += [o.place for o in meaning.sayings(danger)]
    if said.until <= idle.at or any(lets < place < quiet for place in others):
        return
    notified = {
        OWNERS[m.endpoint]
        for m in book[said.done.before : idle.after]
        if m.danger == danger and not m.over and not m.silent
    }
    for name in PEOPLE:
        here = meaning.homes(name) & frozenset(said.say.areas)
        if here and name not in notified and name not in meaning.moved:
            yield f"withheld: {name} was not told of {danger[0]}, no. {said.say.no}"


def _refused(meaning: Meaning) -> Iterator[str]:
    for said in meaning.said.values():
        answer, say = said.done.answer, said.say
        named = say.areas or any(r.how != "lost" for r in say.refs)
        good = meaning.rightful(said) and not say.closed and named
        if good and answer.startswith("refused") and "Conflict" not in answer:
            yield f"not accepted: {say.kind} of {say.hazard} by its own sender: {answer[9:110]}"


def _without_right(meaning: Meaning, book: Sequence[Handed], origin: Origin) -> Iterator[str]:
    for d in meaning.done:
        if isinstance(d.act, Approve) and d.answer == "ok" and d.act.no in meaning.said:
            say = meaning.said[d.act.no].say
            if PRINCIPALS[d.act.by].person_id == say.principal.person_id:
                yield f"one person: {d.act.by} approved what {say.by or say.sender} submitted"
    handed = {origin.get(m.code) for m in book}
    for said in meaning.said.values():
        if meaning.lets(said) is None and said.place in handed:
            say = said.say
            yield f"no right: {say.by or say.sender} sent {say.kind} {say.no} as {say.sender}"


def _not_once(meaning: Meaning, book: Sequence[Handed], origin: Origin) -> Iterator[str]:
    """Everybody told of a danger has heard once that it is over, after they were last told."""
    at = {s.place: s for s in meaning.said.values()}
    sayings = {code: at[place] for code, place in origin.items() if place in at}
    for name in PEOPLE:
        mine = [(n, m) for n, m in enumerate(book) if OWNERS[m.endpoint] == name]
        for danger in meaning.dangers():
            if danger[1] in {Klass.PUBLIC, Klass.PRIVATE}:
                yield from _once(meaning, name, danger, mine, sayings)


def _once(
    meaning: Meaning,
    name: str,
    danger: Danger,
    mine: Sequence[tuple[int, Handed]],
    sayings: Mapping[str, Said],
) -> Iterator[str]:
    tellings = [(n, m) for n, m in mine if m.danger == danger and not m.over]
    if not tellings:
        return
    gaps: list[set[str]] = [set()]
    heard: set[str] = set()
    for _, m in mine:
        if m.danger == danger and m.over and m.code not in heard:
            heard.add(m.code)
            gaps[-1].add(m.code)
        elif m.danger == danger and not m.over and gaps[-1]:
            gaps.append(set())
    if any(len(g) > meaning.groups(danger) for g in gaps):
        yield f"ended twice: {name} heard {max(map(len, gaps))} ends of {danger[0]} in a row"
    last = tellings[-1][0]
    ended = [e.before for e in meaning.ends() if e.danger == danger]
    finally_at = max(ended, default=len(mine))
    if any(
        m.over
        and (
            (m.danger == danger and n > last)
            or (m.danger in meaning.joined(danger) and n >= finally_at and n > last)
        )
        for n, m in mine
    ):
        return
    notified_of = [sayings[m.code] for _, m in tellings if m.code in sayings]
    if _ran_out(meaning, danger, notified_of):
        return
    yield f"never ended: {name} was told of {danger[0]} and did not hear that it is over"


def _ran_out(meaning: Meaning, danger: Danger, notified_of: Sequence[Said]) -> bool:
    """True where what somebody was told had run out before anybody ended it."""
    at: list[datetime] = [meaning.done[e.place].at for e in meaning.ends() if e.danger == danger]
    return bool(notified_of) and bool(at) and all(s.until <= max(at) for s in notified_of)
