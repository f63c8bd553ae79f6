"""Which alerts belong to one thread and one danger, by what their senders say and nothing else."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC

from alerting.domain.alert import Alert, Reference

Node = tuple[str, ...]


class _Groups:
    """Disjoint sets that are joined as links become known."""

    def __init__(self) -> None:
        self._above: dict[Node, Node] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self._above

    def root(self, node: Node) -> Node:
        """The set a node is in; a new node is a set of its own."""
        self._above.setdefault(node, node)
        while (above := self._above[node]) != node:
            self._above[node] = node = self._above[above]
        return node

    def join(self, node: Node, other: Node) -> Node | None:
        """Join two sets; return the one that is gone, None if they were one already."""
        mine, theirs = self.root(node), self.root(other)
        if mine == theirs:
            return None
        self._above[mine] = theirs
        return mine


class Links:
    """Links each alert to earlier ones.

    A thread is joined by `references`, and by a sender that reuses an identifier. A reference whose
    time fits no known alert means the newest of that sender and identifier, because senders often
    get the time wrong; without one it stands for an unknown alert, and joins those that reference
    it alike. A danger is joined by threads, by `incidents`, and by the incident in the trace's
    truth.
    """

    def __init__(self) -> None:
        self._threads = _Groups()
        self._dangers = _Groups()
        self._newest: dict[tuple[str, str], Node] = {}

    def place(self, alert: Alert, incident: Hashable | None = None) -> list[tuple[Node, Node]]:
        """Add an alert; return the dangers that were joined, each with the one it is now."""
        own = node_of(alert.triple)
        sender = alert.sender.casefold()
        named = [self._named(r) for r in alert.references]
        named += [
            self._newest.get((sender, identifier), (sender, identifier))
            for identifier in alert.loose_references
        ]
        before = self._newest.get((sender, alert.identifier))
        self._newest[sender, alert.identifier] = own
        self._threads.root(own)
        for other in [*named, *([before] if before is not None else [])]:
            self._threads.join(own, other)
        causes = [("incident", i.strip().casefold()) for i in alert.incidents if i.strip()]
        if incident is not None:
            causes.append(("truth", str(incident)))
        joined = [*named, *causes, *([before] if before is not None else [])]
        gone = [self._dangers.join(own, other) for other in joined]
        return [(g, self._dangers.root(g)) for g in gone if g is not None]

    def thread(self, node: Node) -> Node:
        """The thread of an alert, by its node."""
        return self._threads.root(node)

    def danger(self, node: Node) -> Node:
        """The danger of an alert, by its node."""
        return self._dangers.root(node)

    def _named(self, reference: Reference) -> Node:
        node = node_of(reference)
        if node in self._threads:
            return node
        return self._newest.get((node[0], reference.identifier), node)


def node_of(reference: Reference) -> Node:
    """The node of an alert; the case of a sender does not count."""
    sent = reference.sent.astimezone(UTC).isoformat()
    return reference.sender.casefold(), reference.identifier, sent
