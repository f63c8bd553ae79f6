"""Which alerts are of one thread and of one danger, by what their senders say and nothing else."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC

from alerting.domain.alert import Alert, Reference

Node = tuple[str, ...]


class _Groups:
    """Things that turn out to be one, whatever the order in which that is learnt."""

    def __init__(self) -> None:
        self._above: dict[Node, Node] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self._above

    def root(self, node: Node) -> Node:
        """The group a node is of; a node never seen is one of its own."""
        self._above.setdefault(node, node)
        while (above := self._above[node]) != node:
            self._above[node] = node = self._above[above]
        return node

    def join(self, node: Node, other: Node) -> Node | None:
        """Make two groups one; returns the group that is gone, None where they were one before."""
        mine, theirs = self.root(node), self.root(other)
        if mine == theirs:
            return None
        self._above[mine] = theirs
        return mine


class Links:
    """Grows with every alert.

    A thread is joined by `references`, and by a sender that uses an identifier again. A reference
    whose instant fits no alert seen so far means the newest of that sender and identifier, since
    senders often get the instant wrong; where there is none it stands for an alert never seen, and
    joins those who name it alike. A danger is joined by threads, by `incidents`, and by the
    incident that the stream's truth names.
    """

    def __init__(self) -> None:
        self._threads = _Groups()
        self._dangers = _Groups()
        self._newest: dict[tuple[str, str], Node] = {}

    def place(self, alert: Alert, incident: Hashable | None = None) -> list[tuple[Node, Node]]:
        """Take an alert in. Returns pairs of dangers: one that is gone, and what it is now."""
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
    """What stands for an alert among links; a sender counts without case."""
    sent = reference.sent.astimezone(UTC).isoformat()
    return reference.sender.casefold(), reference.identifier, sent
