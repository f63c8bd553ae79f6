"""Threads by `references` and nothing else: alerts that name one another, directly or not."""

from __future__ import annotations

from datetime import UTC

from alerting.domain.alert import Alert, Reference

Thread = tuple[str, str, str]


class Links:
    """Grows with every alert; two threads become one when an alert refers to both.

    A reference whose instant fits no alert seen so far is taken to mean the newest alert of that
    sender and identifier, since senders often get the instant wrong; where there is none it stands
    for an alert that was never seen, and joins those who name it alike.
    """

    def __init__(self) -> None:
        self._above: dict[Thread, Thread] = {}
        self._newest: dict[tuple[str, str], Thread] = {}

    def place(self, alert: Alert) -> tuple[Thread, list[Thread]]:
        """The thread an alert is of, and those that have just become part of it."""
        own = _node(alert.triple)
        root = self.root(own) if own in self._above else own
        self._above.setdefault(own, own)
        absorbed = []
        for reference in alert.references:
            other = _node(reference)
            if other not in self._above:
                other = self._newest.get((reference.sender, reference.identifier), other)
            self._above.setdefault(other, other)
            above = self.root(other)
            if above != root:
                self._above[root] = above
                absorbed.append(root)
                root = above
        self._newest[(alert.sender, alert.identifier)] = own
        return root, absorbed

    def root(self, thread: Thread) -> Thread:
        """The thread that `thread` is now part of; itself until it is joined to another."""
        while (above := self._above[thread]) != thread:
            self._above[thread] = thread = self._above[above]
        return thread


def _node(reference: Reference) -> Thread:
    sent = reference.sent.astimezone(UTC).isoformat()
    return reference.sender, reference.identifier, sent
