"""Origins: what push services have lately said of our key, so that a refusal finds its owner."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: How long an acceptance proves that the service accepts our key.
_LATELY_S = 60.0
#: Consecutive refusals attributed to subscriptions; any more are attributed to our key.
_FEW = 5
#: Origins remembered; whoever registers an address names one.
_MOST = 256


@dataclass(slots=True)
class _Heard:
    accepted_s: float
    refused: int = 0


class Origins:
    """Remembers, for one event loop, which push services take our key.

    now: seconds that only go forward.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._heard: OrderedDict[str, _Heard] = OrderedDict()

    def accepted(self, origin: str) -> None:
        """The service has taken a message."""
        self._heard[origin] = _Heard(self._now())
        self._heard.move_to_end(origin)
        if len(self._heard) > _MOST:
            self._heard.popitem(last=False)

    def refuses_only_this(self, origin: str) -> bool:
        """The service has refused a message as not from us: True where that is a matter of this
        subscription, because others are taken.

        Only a few times in a row: a service that has stopped taking our key must cost nobody
        their subscription.
        """
        heard = self._heard.get(origin)
        if heard is None or self._now() - heard.accepted_s > _LATELY_S:
            return False
        heard.refused += 1
        return heard.refused <= _FEW
