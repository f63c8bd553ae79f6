"""Made-up pairs of alerts: copy or not, decided as the table in `pairs.toml` says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from event_examples import fires
from pairs import Pair, decide, pairs, table

from alerting.cap import read
from alerting.replay.admission import Admission
from alerting.replay.concern import Concern
from alerting.replay.population import Population
from alerting.throttle.policy.parse import default_policy

PAIRS = pairs()
DOCS = Path(__file__).parents[3] / "docs"


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


def test_documents_show_the_table() -> None:
    assert (DOCS / "copies.md").read_text("utf-8").endswith("\n\n" + table())


@pytest.mark.parametrize("name", ["two-earthquakes", "two-fires"])
async def test_field_pairs_of_two_dangers_are_two_events(corpus: Path, name: str) -> None:
    admission = Admission(default_policy(), Concern(Population([])))
    documents = sorted((corpus / "field" / name).glob("*.xml"))
    alerts = [read(path.read_bytes()).alerts[0] for path in documents]
    ends = [a.infos[0].expires or a.sent for a in alerts]
    admitted = [await admission.admit(a, end) for a, end in zip(alerts, ends, strict=True)]
    events = {one.source.event for one in admitted}
    assert len(events) == 2
