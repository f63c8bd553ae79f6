"""Made-up pairs of alerts: copy or not, decided as the table in `pairs.toml` says."""

from __future__ import annotations

from collections import Counter

import pytest
from event_worlds import fires
from pairs import Pair, decide, pairs

PAIRS = pairs()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p.about}: {p.reason}")
@pytest.mark.parametrize("busy", [False, True], ids=["alone", "among others"])
def test_pair_is_decided_right(pair: Pair, busy: bool) -> None:
    known = [one for one, _ in fires(60, 4)] if busy else []
    decided, why = decide(pair, known)
    assert decided == pair.decided, why


def test_table_holds_every_kind() -> None:
    assert len(PAIRS) >= 60
    for about in ("earthquake", "fire", "storm", "salvo", "flood"):
        of = [p for p in PAIRS if p.about == about]
        assert {p.senders for p in of} == {1, 2}
        assert {"copy", "not"} <= {p.decided for p in of}
    assert min(Counter(p.decided for p in PAIRS).values()) >= 10
    assert len({p.reason for p in PAIRS}) == len(PAIRS)
