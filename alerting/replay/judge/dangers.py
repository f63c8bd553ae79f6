"""Every citizen's dangers, found by alert and forgotten when they are long over."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import datetime, timedelta

from alerting.domain.alert import Alert
from alerting.replay.judge.danger import Danger, Voice
from alerting.replay.judge.links import Links, Node, node_of
from alerting.replay.judge.said import Said

#: How long after a danger ran out its end is still news.
END_IS_NEWS = timedelta(days=1)


class Dangers:
    """Grows with every alert; two dangers become one when a later alert shows them to be."""

    def __init__(self) -> None:
        self._links = Links()
        self._by_danger: dict[Node, dict[int, Danger]] = {}
        self._of: dict[int, list[Danger]] = {}
        self._wordings: dict[tuple[int, tuple[object, ...]], Voice] = {}
        self._forgot_at: datetime | None = None

    def take(self, alert: Alert, incident: Hashable | None) -> None:
        """Link an alert to those before it."""
        for gone, into in self._links.place(alert, incident):
            self._merge(gone, into)

    def find(self, citizen: int, node: Node) -> tuple[Danger | None, Voice | None]:
        """The citizen's danger of an alert, and its thread's voice in it."""
        danger = self._by_danger.get(self._links.danger(node), {}).get(citizen)
        if danger is None:
            return None, None
        thread = self._links.thread(node)
        mine = [v for v in danger.voices if any(self._links.thread(t) == thread for t in v.threads)]
        for other in mine[1:]:
            mine[0].take_in(other)
            danger.voices.remove(other)
            for c in danger.open:
                if c.voice is other:
                    c.voice = mine[0]
        return danger, mine[0] if mine else None

    def begin(self, citizen: int, node: Node) -> Danger:
        """A danger of an alert that the citizen has none of yet."""
        danger = Danger()
        self._of.setdefault(citizen, []).append(danger)
        self._by_danger.setdefault(self._links.danger(node), {})[citizen] = danger
        return danger

    def join(self, citizen: int, node: Node, voice: Voice) -> Danger | None:
        """The danger of a voice, which an alert is from now on a thread of for the citizen."""
        danger, _ = self.find(citizen, voice.threads[0])
        voice.threads.append(node)
        if danger is not None:
            self._by_danger.setdefault(self._links.danger(node), {})[citizen] = danger
        return danger

    def worded(self, citizen: int, voice: Voice) -> None:
        """Note what a voice says to a citizen now."""
        self._wordings[citizen, voice.said.words] = voice

    def said_already(self, citizen: int, said: Said, now: datetime) -> Voice | None:
        """Who has said this very thing to the citizen, and it is in force."""
        voice = self._wordings.get((citizen, said.words))
        if voice is None or not voice.in_force(now) or voice.said.words != said.words:
            return None
        return voice

    def of(self, citizen: int) -> list[Danger]:
        return self._of.get(citizen, [])

    def of_thread(self, alert: Alert) -> dict[int, tuple[Danger, Voice]]:
        """By citizen, where the alert's thread speaks of something not ended."""
        node = node_of(alert.triple)
        mine: dict[int, tuple[Danger, Voice]] = {}
        for citizen in self._by_danger.get(self._links.danger(node), {}):
            danger, voice = self.find(citizen, node)
            if danger is not None and voice is not None and not voice.ended:
                mine[citizen] = danger, voice
        return mine

    def forget(self, now: datetime) -> Iterator[tuple[int, Danger]]:
        """What is long over, by citizen; looked for once in a day of the trace."""
        if self._forgot_at is not None and now - self._forgot_at < timedelta(days=1):
            return
        self._forgot_at = now
        for citizen, dangers in self._of.items():
            yield from ((citizen, d) for d in dangers if d.over_at + END_IS_NEWS <= now)
            dangers[:] = [d for d in dangers if d.over_at + END_IS_NEWS > now]
        for node, those in list(self._by_danger.items()):
            for citizen in [c for c, d in those.items() if d.over_at + END_IS_NEWS <= now]:
                del those[citizen]
            if not those:
                del self._by_danger[node]
        self._wordings = {k: v for k, v in self._wordings.items() if v.said.until >= now}

    def all(self) -> Iterator[tuple[int, Danger]]:
        for citizen, dangers in self._of.items():
            yield from ((citizen, d) for d in dangers)

    def _merge(self, gone: Node, into: Node) -> None:
        kept = self._by_danger.setdefault(into, {})
        for citizen, danger in self._by_danger.pop(gone, {}).items():
            other = kept.setdefault(citizen, danger)
            if other is not danger and danger in self._of[citizen]:
                other.take_in(danger)
                self._of[citizen].remove(danger)
